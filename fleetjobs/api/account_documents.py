"""Documents of orgs, accounts, grants, tokens and the audit, as the API takes and gives them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from pydantic import BaseModel, Field

from fleetjobs.access import FLEET, Effect, Role, Verb
from fleetjobs.documents import Moment
from fleetjobs.store.access import AccountEntry, Org
from fleetjobs.store.audit import Record
from fleetjobs.store.grants import GrantEntry
from fleetjobs.store.tokens import Token
from fleetjobs.targets import Target

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Pattern = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9_*]{1,64}(\.[a-z0-9_*]{1,64})?\Z",
        description="`agent.action`; * stands for any characters",
    ),
]


class NewOrg(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An org that is to be."""

    name: Name


class OrgChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise about an org."""

    disabled: bool


class NewAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that is to be."""

    name: Name
    role: Role
    verify_key: str | None = None  # Ed25519, base64url; None: the server signs what it asks for


class AccountChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise about an account; the rest stays."""

    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    verify_key: str | UnsetType | None = UNSET  # null: no key any more


class NewGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant that is to be."""

    effect: Effect
    actions: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=100)]
    verbs: tuple[Verb, ...] = ()  # all of them
    target: Target | None = None  # every node


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token that is to be."""

    name: Name
    account: Name | None = None  # whoever asks
    expires_at: Moment | None = None  # never


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who one is."""

    account: Name
    password: Annotated[str, Meta(max_length=1000)]


class NewPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A password that is to be; null: none."""

    password: Annotated[str, Meta(max_length=1000)] | None
    old: Annotated[str, Meta(max_length=1000)] | None = None  # needed to change one's own


class SettingValue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What something is set to."""

    value: bool


class OrgDocument(BaseModel):
    """A tenant."""

    name: str
    created_at: datetime
    disabled: bool = Field(description="its accounts may do nothing")

    @classmethod
    def of(cls, org: Org) -> "OrgDocument":
        """The org as a document."""
        disabled = org.disabled_at is not None
        return cls(name=org.name, created_at=org.created_at, disabled=disabled)


class AccountDocument(BaseModel):
    """A person or a robot."""

    name: str
    org: str | None = Field(description="null: none; it rules the fleet")
    role: Role
    verify_key: str | None = Field(description="null: the server signs what it asks for")
    created_at: datetime
    disabled: bool
    has_password: bool

    @classmethod
    def of(cls, entry: AccountEntry) -> "AccountDocument":
        """The account as a document."""
        return cls(
            name=entry.name,
            org=shown_org(entry.org),
            role=entry.role,
            verify_key=entry.verify_key.text if entry.verify_key else None,
            created_at=entry.created_at,
            disabled=entry.disabled_at is not None,
            has_password=entry.has_password,
        )


class GrantDocument(BaseModel):
    """A narrowing of what an account may do."""

    id: str
    account: str
    effect: Effect
    verbs: list[Verb] = Field(description="empty: all of them")
    actions: list[str]
    target: dict[str, Any] | None = Field(description="null: every node")
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, entry: GrantEntry) -> "GrantDocument":
        """The grant as a document."""
        return cls(
            **entry.grant.document,
            account=entry.account,
            created_at=entry.created_at,
            created_by=entry.created_by,
        )


class TokenDocument(BaseModel):
    """What is known of a token."""

    id: str
    account: str
    org: str | None
    name: str
    created_at: datetime
    expires_at: datetime | None = Field(description="null: never")
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: Token) -> "TokenDocument":
        """The token as a document."""
        names = ("id", "account", "name", "created_at", "expires_at", "revoked_at")
        same = {name: getattr(token, name) for name in names}
        return cls(org=shown_org(token.org), **same)


class NewTokenDocument(TokenDocument):
    """A token that was just made."""

    token: str = Field(description="shown now, and never again")


class SettingDocument(BaseModel):
    """Something that is set for all."""

    name: str
    value: bool
    description: str


class RecordDocument(BaseModel):
    """A row of the audit."""

    seq: int
    at: datetime
    actor: str = Field(description="an account; empty: somebody on the server itself")
    address: str = Field(description="from where; empty: on the server itself")
    org: str | None = Field(description="whose thing it is")
    kind: str
    subject: str
    before: dict[str, Any] | None = Field(description="what was otherwise before")
    after: dict[str, Any] | None = Field(description="and how it is since")
    note: str = Field(description="of what was refused: why")
    hash: str = Field(description="of this row and all before it")

    @classmethod
    def of(cls, record: Record) -> "RecordDocument":
        """The row as a document."""
        same = {name: getattr(record, name) for name in cls.model_fields if name != "org"}
        return cls(org=None if record.org is None else shown_org(record.org), **same)


class VerdictDocument(BaseModel):
    """Whether the audit is what it was."""

    outcome: Literal["whole", "broken"]
    rows: int = Field(description="that are what they were")
    head: str = Field(description="the hash of the last of them; worth noting elsewhere")
    broken_at: int | None = Field(description="the first row that was changed or taken out")
    has_noted: bool = Field(description="whether the hash that was noted is among them")


def shown_org(org: str) -> str | None:
    """An org as documents show it; null for the fleet."""
    return None if org == FLEET else org

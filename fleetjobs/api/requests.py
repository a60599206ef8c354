"""Requests: what a caller asks for, sealed by their own key or by the server's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta, Struct
from uuid_utils import uuid7

from fleetjobs.api.bodies import decode_body, own
from fleetjobs.api.faults import InvalidBody, InvalidParameter
from fleetjobs.documents import D, Id, Moment, Name, Priority, Splay, decode, encode
from fleetjobs.errors import Denied, Unauthentic
from fleetjobs.names import JobId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import After, Request
from fleetjobs.rollouts import Rollout
from fleetjobs.signing import SigningKey, account_key_id, unseal
from fleetjobs.store.access import Account
from fleetjobs.targets import Target

_KEYS = UUID("5f0d3c0e-57cb-5d0b-8f5e-1f2f5d1a7c11")  # names the space of Idempotency-Keys


NEVER = "never"  #: of `start_before`: it is never too late
StartBefore = Annotated[str, Meta(description="RFC 3339 with zone, or `never`")] | None


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of a caller without a key of their own; the server signs it."""

    agent: Name
    action: Name
    data: dict[str, Any] = {}
    target: Target = Target()
    id: Id | None = None
    not_before: Moment | None = None
    start_before: StartBefore = None
    after: tuple[After, ...] = ()
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None  # as the action declares
    rollout: Rollout | None = None  # all nodes at once
    priority: Priority = 0
    splay_s: Splay = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """A request, and the bytes that were signed."""

    request: Request
    text: str


def take_sealed(raw: bytes, *, account: Account, idempotency_key: str | None) -> Sealed:
    """A request the caller signed.

    Raises Unauthentic, InvalidDocument, or Denied if it is signed for someone else.
    """
    text, request = _unseal(raw, Request, account)
    _check_caller(request, account)
    if idempotency_key is not None and _id_of(idempotency_key, account) != request.id:
        raise InvalidParameter(
            "a signed request is named by its id; leave the key out", field="Idempotency-Key"
        )
    return Sealed(request, text)


def take_sealed_plan(raw: bytes, *, account: Account) -> tuple[PlanRequest, str]:
    """A plan the caller signed, and the bytes. Raises as `take_sealed` does."""
    text, request = _unseal(raw, PlanRequest, account)
    _check_caller(request, account)
    return request, text


def _unseal(raw: bytes, kind: type[D], account: Account) -> tuple[str, D]:
    if account.verify_key is None:
        raise Unauthentic(f"account {account.name} has no key registered to check a signature by")
    text = raw.decode("ascii", "replace").strip()
    _, payload = unseal(text, {account_key_id(account.name): account.verify_key})
    return text, decode(kind, payload)


def _check_caller(request: Request | PlanRequest, account: Account) -> None:
    if (request.caller, request.org) != (account.name, account.org):
        raise Denied(
            f"the request is by {request.caller!r} of {request.org!r}, "
            f"the token of {account.name!r} of {account.org!r}"
        )


def seal_wish(
    raw: bytes,
    *,
    account: Account,
    idempotency_key: str | None,
    key: SigningKey,
    clock: Callable[[], datetime],
) -> Sealed:
    """A plain request, signed for the caller. Raises InvalidDocument."""
    wish = decode_body(Wish, own(raw, account.org))
    request = Request(
        id=name_of(wish.id, idempotency_key, account),
        org=account.org,
        caller=account.name,
        agent=wish.agent,
        action=wish.action,
        data=wish.data,
        target=wish.target,
        created_at=clock(),
        not_before=wish.not_before,
        after=wish.after,
        retries=wish.retries,
        rollout=wish.rollout,
        priority=wish.priority,
        splay_s=wish.splay_s,
        **read_start_before(wish.start_before),
    )
    return Sealed(request, key.seal(encode(request)))


def name_of(id: str | None, idempotency_key: str | None, account: Account) -> str:  # noqa: A002  as in every document
    """What is wished for is to be called: as it says, as its key says, or anything new.

    Raises InvalidParameter.
    """
    named = None if idempotency_key is None else _id_of(idempotency_key, account)
    if named is not None and id not in (None, named):
        raise InvalidParameter("id and Idempotency-Key exclude each other", field="Idempotency-Key")
    return id or named or str(uuid7())


def read_start_before(text: str | None) -> dict[str, Any]:
    """`start_before` as fields of a Request; null is what the server sees fit.

    Raises InvalidBody.
    """
    if text is None or text == NEVER:
        return {"start_before": None, "keep": text == NEVER}
    try:
        return {"start_before": msgspec.convert(text, Moment), "keep": False}
    except msgspec.ValidationError as error:
        raise InvalidBody(str(error), field="start_before") from None


def _id_of(idempotency_key: str, account: Account) -> JobId:
    """Always the same id for the same key of the same account."""
    return JobId(str(uuid5(_KEYS, f"{account.org}/{account.name}/{idempotency_key}")))

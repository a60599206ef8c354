"""Accounts: who there is, what they may do; made, changed and narrowed down by admins."""

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from msgspec import UNSET
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Admin, Caller, clean_query
from fleetjobs.api.account_documents import (
    AccountChange,
    AccountDocument,
    GrantDocument,
    NewAccount,
    NewGrant,
)
from fleetjobs.api.bodies import JSON, decode_body, json_body, own, read_body
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import PAGE, PAGE_MAX, Parameters
from fleetjobs.api.problems import CHANGES, RESPONSES
from fleetjobs.control.accounts import Accounts
from fleetjobs.control.grants import Grants
from fleetjobs.errors import NotFound
from fleetjobs.signing import VerifyKey
from fleetjobs.store.access import AccountEntry, get_entry, list_accounts
from fleetjobs.store.grants import list_grants

router = APIRouter(
    tags=["accounts"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)
Named = Annotated[str, Path(max_length=128, description="an account's name")]


class AccountQuery(Parameters):
    """Which accounts."""

    org: str | None = Field(None, description="of this org; everybody's is for fleet admins")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX)


@router.get("/me", summary="Who one is")
def me(desk: AtDesk, caller: Caller) -> AccountDocument:
    """The account of the token, and its role."""
    return _document(desk, caller.name)


@router.get("/accounts", summary="List accounts")
def index(
    desk: AtDesk, caller: Caller, query: Annotated[AccountQuery, Query()]
) -> Page[AccountDocument]:
    """The org's, by name; a fleet admin sees everybody's."""
    org = caller.sees or query.org
    if query.org not in {None, org}:
        return Page(items=[], next=None)
    with desk.database.reading() as connection:
        found = list_accounts(connection, org=org, after=query.cursor, limit=query.limit)
    more = found[-1].name if len(found) == query.limit else None
    return Page(items=[AccountDocument.of(entry) for entry in found], next=more)


@router.post(
    "/accounts",
    summary="Make an account",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(NewAccount),
)
async def create(
    request: Request, response: Response, desk: AtDesk, caller: Admin
) -> AccountDocument:
    """In the org in which one acts; its name is unique in the fleet, and never given again."""
    raw = await read_body(request, kinds={JSON})
    wish = decode_body(NewAccount, own(raw, caller.org))
    key = None if wish.verify_key is None else VerifyKey.from_text(wish.verify_key)
    entry = await run_in_threadpool(
        _accounts(desk, caller).create, wish.name, role=wish.role, verify_key=key
    )
    response.headers["Location"] = f"/api/v1/accounts/{quote(entry.name, safe='')}"
    return AccountDocument.of(entry)


@router.get("/accounts/{account}", summary="One account")
def show(desk: AtDesk, caller: Caller, account: Named) -> AccountDocument:
    """Its role, and whether it may do anything."""
    return AccountDocument.of(_seen(desk, caller, account))


@router.patch(
    "/accounts/{account}", summary="Change an account", openapi_extra=json_body(AccountChange)
)
async def change(request: Request, desk: AtDesk, caller: Admin, account: Named) -> AccountDocument:
    """Its role, its key, and whether it may do anything: from now on, and for what has not begun.

    What it asked for and may no longer run waits for a person: `paused`, `denied`.
    """
    wish = decode_body(AccountChange, await read_body(request, kinds={JSON}))
    given: dict[str, Any] = {}
    for name in ("role", "disabled"):
        if getattr(wish, name) is not UNSET:
            given[name] = getattr(wish, name)
    if wish.verify_key is not UNSET:
        text = wish.verify_key
        given["verify_key"] = None if text is None else VerifyKey.from_text(text)
    entry = await run_in_threadpool(_accounts(desk, caller).change, account, **given)
    desk.tokens.forget()
    return AccountDocument.of(entry)


@router.delete(
    "/accounts/{account}", summary="Delete an account", status_code=HTTPStatus.NO_CONTENT
)
def delete(desk: AtDesk, caller: Admin, account: Named) -> None:
    """Its tokens count no longer; what it did stays on record, and so does its name."""
    _accounts(desk, caller).delete(account)
    desk.tokens.forget()


@router.get("/accounts/{account}/grants", summary="Grants of an account")
def grants(desk: AtDesk, caller: Caller, account: Named) -> Page[GrantDocument]:
    """What narrows it down; without any, its role alone says what it may."""
    _seen(desk, caller, account)
    with desk.database.reading() as connection:
        found = list_grants(connection, account)
    return Page(items=[GrantDocument.of(entry) for entry in found], next=None)


@router.post(
    "/accounts/{account}/grants",
    summary="Narrow an account down",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(NewGrant),
)
async def grant(request: Request, desk: AtDesk, caller: Admin, account: Named) -> GrantDocument:
    """Allow it some actions, on some nodes, and so no others; or deny it some, come what may."""
    wish = decode_body(NewGrant, await read_body(request, kinds={JSON}))
    entry = await run_in_threadpool(
        _grants(desk, caller).add,
        account,
        effect=wish.effect,
        verbs=frozenset(wish.verbs),
        actions=wish.actions,
        target=wish.target,
    )
    return GrantDocument.of(entry)


@router.delete(
    "/accounts/{account}/grants/{grant}",
    summary="Take a grant away",
    status_code=HTTPStatus.NO_CONTENT,
)
def ungrant(
    desk: AtDesk,
    caller: Admin,
    account: Named,
    grant: Annotated[str, Path(max_length=64, description="a grant's id")],
) -> None:
    """What it allowed is no longer allowed, what it denied no longer denied."""
    _grants(desk, caller).remove(account, grant)


def _accounts(desk: Desk, caller: Acting) -> Accounts:
    return Accounts(desk.database, desk.clock, caller.ruler)


def _grants(desk: Desk, caller: Acting) -> Grants:
    return Grants(desk.database, desk.clock, caller.ruler)


def _seen(desk: Desk, caller: Acting, account: str) -> AccountEntry:
    with desk.database.reading() as connection:
        found = get_entry(connection, account)
    if found is None or caller.sees not in {None, found.org}:
        raise NotFound(f"there is no account {account!r}")
    return found


def _document(desk: Desk, account: str) -> AccountDocument:
    with desk.database.reading() as connection:
        found = get_entry(connection, account)
    if found is None:
        raise NotFound(f"there is no account {account!r}")
    return AccountDocument.of(found)

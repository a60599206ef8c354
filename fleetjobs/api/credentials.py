"""Credentials: tokens, passwords, and logging in by one."""

from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.access import Role
from fleetjobs.api.access import Acting, Caller, clean_query
from fleetjobs.api.account_documents import (
    Login,
    NewPassword,
    NewToken,
    NewTokenDocument,
    TokenDocument,
)
from fleetjobs.api.accounts import Named
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.logins import GUESSES
from fleetjobs.api.parameters import PAGE, PAGE_MAX, Parameters
from fleetjobs.api.problems import CHANGES, RESPONSES, TOO_OFTEN, answer_fault
from fleetjobs.control.accounts import Accounts
from fleetjobs.control.grants import Tokens
from fleetjobs.control.passwords import hash_password, is_password
from fleetjobs.control.ruling import Ruler
from fleetjobs.errors import Denied, Unauthenticated, Unavailable
from fleetjobs.store.access import Account, get_account, password_of
from fleetjobs.store.audit import Author, add_record
from fleetjobs.store.tokens import Token

router = APIRouter(
    tags=["tokens"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)
LOGGED_IN_FOR = timedelta(hours=12)  #: how long the token of a login counts
LOGIN = "login"  #: the name of such a token
Id = Annotated[str, Path(max_length=64, description="a token's id")]


class TokenQuery(Parameters):
    """Which tokens."""

    account: str | None = Field(None, description="of this account; `me` is whoever asks")
    cursor: str | None = Field(None, max_length=64, description="`next` of the page before")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX)


@router.get("/tokens", summary="List tokens")
def index(
    desk: AtDesk, caller: Caller, query: Annotated[TokenQuery, Query()]
) -> Page[TokenDocument]:
    """One's own; an admin sees those of the org. What they are is shown nowhere."""
    found = _tokens(desk, caller).list(
        account=caller.name if query.account == "me" else query.account,
        org=caller.sees,
        after=query.cursor,
        limit=query.limit,
    )
    more = found[-1].id if len(found) == query.limit else None
    return Page(items=[TokenDocument.of(token) for token in found], next=more)


@router.post(
    "/tokens",
    summary="Make a token",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(NewToken),
)
async def create(
    request: Request, response: Response, desk: AtDesk, caller: Caller
) -> NewTokenDocument:
    """For oneself; an admin for accounts of the org. Shown in this answer and never again."""
    wish = decode_body(NewToken, await read_body(request, kinds={JSON}))
    text, token = await run_in_threadpool(
        _tokens(desk, caller).create,
        wish.account or caller.name,
        name=wish.name,
        expires_at=wish.expires_at,
    )
    response.headers["Location"] = f"/api/v1/tokens/{token.id}"
    return _shown(text, token)


@router.delete("/tokens/{token}", summary="Revoke a token")
def revoke(desk: AtDesk, caller: Caller, token: Id) -> TokenDocument:
    """It counts no longer: here at once, on other servers within seconds."""
    revoked = _tokens(desk, caller).revoke(token)
    desk.tokens.forget()
    return TokenDocument.of(revoked)


@router.post(
    "/login",
    summary="Log in by a password",
    status_code=HTTPStatus.CREATED,
    response_model=NewTokenDocument,
    openapi_extra=json_body(Login),
    responses=TOO_OFTEN,
)
async def login(request: Request, desk: AtDesk, later: BackgroundTasks) -> Any:
    """A token that counts for twelve hours. Whoever guesses often has to wait."""
    wish = decode_body(Login, await read_body(request, kinds={JSON}))
    address = request.client.host if request.client else ""
    try:
        return await run_in_threadpool(_log_in, desk, wish, address)
    except WrongPassword as wrong:
        # once it is answered: how long the answer takes must not tell whether there is an account
        later.add_task(_note_failure, desk, wrong, address)
        return answer_fault(request, wrong)


def _log_in(desk: Desk, wish: Login, address: str) -> NewTokenDocument:
    now = desk.clock()
    desk.logins.check(wish.account, now)
    with desk.database.reading() as connection:
        account = get_account(connection, wish.account)
        kept = password_of(connection, wish.account)
    if not is_password(wish.password, kept) or account is None:
        guesses = desk.logins.fail(wish.account, now, exists=account is not None)
        raise WrongPassword(account, guesses)
    desk.logins.forget(wish.account)
    ruler = Ruler(name=account.name, org=account.org, role=account.role, address=address)
    tokens = Tokens(desk.database, desk.clock, ruler)
    return _shown(*tokens.create(account.name, name=LOGIN, expires_at=now + LOGGED_IN_FOR))


class WrongPassword(Unauthenticated):
    """There is no such account, or it has another password; the caller is not told which."""

    def __init__(self, account: Account | None, guesses: int) -> None:
        """Whose it is not; and how many wrong ones there were of late."""
        super().__init__("there is no account of that name and password")
        self.account = account
        self.guesses = guesses


def _note_failure(desk: Desk, wrong: WrongPassword, address: str) -> None:
    """The first wrong one of late, and the last before it has to wait; of accounts that exist.

    The audit keeps what it has, so strangers must not be able to fill it.
    """
    if wrong.account is None or wrong.guesses not in {1, GUESSES}:
        return
    note = "has to wait" if wrong.guesses == GUESSES else ""
    with suppress(Unavailable), desk.database.transaction() as connection:
        add_record(
            connection,
            at=desk.clock(),
            author=Author(account="", address=address),
            kind="login.refused",
            subject=wrong.account.name,
            org=wrong.account.org,
            note=note,
        )


@router.put(
    "/accounts/{account}/password",
    summary="Set a password",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=json_body(NewPassword),
)
async def set_password(request: Request, desk: AtDesk, caller: Caller, account: Named) -> None:
    """One's own, naming the old one if there is one; an admin that of accounts of the org."""
    wish = decode_body(NewPassword, await read_body(request, kinds={JSON}))
    await run_in_threadpool(_set_password, desk, caller, account, wish)


def _set_password(desk: Desk, caller: Acting, account: str, wish: NewPassword) -> None:
    if account == caller.name:
        with desk.database.reading() as connection:
            kept = password_of(connection, account)
        if kept is not None and not is_password(wish.old or "", kept):
            raise Denied("`old` is not the password so far")
    elif not caller.role.reaches(Role.ADMIN):
        raise Denied(f"{caller.name} sets no password but their own")
    digest = None if wish.password is None else hash_password(wish.password)
    Accounts(desk.database, desk.clock, caller.ruler).set_password(account, digest)


def _tokens(desk: Desk, caller: Acting) -> Tokens:
    return Tokens(desk.database, desk.clock, caller.ruler)


def _shown(text: str, token: Token) -> NewTokenDocument:
    return NewTokenDocument(token=text, **TokenDocument.of(token).model_dump())

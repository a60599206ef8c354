"""Orgs, and what is set for all of them; for fleet admins."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Caller, FleetAdmin, clean_query
from fleetjobs.api.account_documents import (
    NewOrg,
    OrgChange,
    OrgDocument,
    SettingDocument,
    SettingValue,
)
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.problems import CHANGES, RESPONSES
from fleetjobs.control.orgs import SETTINGS, Orgs
from fleetjobs.errors import NotFound
from fleetjobs.store.access import list_orgs

router = APIRouter(
    tags=["orgs"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)
Named = Annotated[str, Path(max_length=128, description="an org's name")]
Setting = Annotated[str, Path(max_length=64, description="a setting's name")]


@router.get("/orgs", summary="List orgs")
def index(desk: AtDesk, caller: Caller) -> Page[OrgDocument]:
    """One's own; a fleet admin sees all."""
    with desk.database.reading() as connection:
        found = list_orgs(connection)
    items = [OrgDocument.of(org) for org in found if caller.sees in {None, org.name}]
    return Page(items=items, next=None)


@router.post(
    "/orgs",
    summary="Make an org",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(NewOrg),
)
async def create(
    request: Request, response: Response, desk: AtDesk, caller: FleetAdmin
) -> OrgDocument:
    """A tenant: nobody sees another's jobs and nodes."""
    wish = decode_body(NewOrg, await read_body(request, kinds={JSON}))
    made = await run_in_threadpool(_orgs(desk, caller).create, wish.name)
    response.headers["Location"] = f"/api/v1/orgs/{quote(made.name, safe='')}"
    return OrgDocument.of(made)


@router.get("/orgs/{org}", summary="One org")
def show(desk: AtDesk, caller: Caller, org: Named) -> OrgDocument:
    """Whether its accounts may do anything."""
    if caller.sees not in {None, org}:
        raise NotFound(f"there is no org {org!r}")
    return OrgDocument.of(_orgs(desk, caller).get(org))


@router.patch("/orgs/{org}", summary="Set an org aside", openapi_extra=json_body(OrgChange))
async def change(request: Request, desk: AtDesk, caller: FleetAdmin, org: Named) -> OrgDocument:
    """Disabled, its accounts may do nothing, and nothing that they asked for begins."""
    wish = decode_body(OrgChange, await read_body(request, kinds={JSON}))
    disable = _orgs(desk, caller).disable
    changed = await run_in_threadpool(disable, org, disabled=wish.disabled)
    desk.tokens.forget()
    return OrgDocument.of(changed)


@router.delete("/orgs/{org}", summary="Delete an org", status_code=HTTPStatus.NO_CONTENT)
def delete(desk: AtDesk, caller: FleetAdmin, org: Named) -> None:
    """One of which nothing is left: no account, no node, no job."""
    _orgs(desk, caller).delete(org)


@router.get("/settings", summary="What is set for all")
def settings(desk: AtDesk, caller: FleetAdmin) -> Page[SettingDocument]:
    """Every switch, and how it stands."""
    found = _orgs(desk, caller).settings()
    return Page(items=[_setting(name, value) for name, value in found.items()], next=None)


@router.put(
    "/settings/{setting}", summary="Set something for all", openapi_extra=json_body(SettingValue)
)
async def set_(
    request: Request, desk: AtDesk, caller: FleetAdmin, setting: Setting
) -> SettingDocument:
    """From now on."""
    wish = decode_body(SettingValue, await read_body(request, kinds={JSON}))
    value = await run_in_threadpool(_orgs(desk, caller).set, setting, wish.value)
    return _setting(setting, value)


def _orgs(desk: Desk, caller: Acting) -> Orgs:
    return Orgs(desk.database, desk.clock, caller.ruler)


def _setting(name: str, value: bool) -> SettingDocument:  # noqa: FBT001  it is what is shown
    return SettingDocument(name=name, value=value, description=SETTINGS[name].description)

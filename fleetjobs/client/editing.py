"""Editing: change what was asked for before it begins; signed again where it was signed."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fleetjobs.client.asking import JOSE, JSON, signing_key, utc_now
from fleetjobs.client.conditions import LATE, NEVER, Moment, read_moment
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.documents import decode, encode
from fleetjobs.errors import Conflict, InvalidSetting, Problem, Unauthentic
from fleetjobs.requests import Request
from fleetjobs.signing import unseal
from fleetjobs.targets import Target

FORBIDDEN = 403


def edit(
    fleet: Fleet,
    job: Document,
    *,
    data: Mapping[str, Any] | None = None,
    at: Moment | None = None,
    start_before: Moment | None = None,
    target: Target | None = None,
    priority: int | None = None,
    splay: timedelta | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Document:
    """Change a job as it was last seen; the job then. Raises Problem, InvalidTime, Conflict.

    A job that is moved may start as much later than `at` as before, unless that is given too.
    What its caller signed is signed again, so that nodes see who wanted it so; where we cannot
    (it is somebody else's), the server signs.
    """
    if job.get("kind", "action") != "action":
        raise Conflict(f"{job['id']} is a {job['kind']}; its legs can be changed, one by one")
    now = clock()
    changes: dict[str, Any] = {}
    if data:
        changes["data"] = dict(data)
    if at is not None:
        changes["not_before"] = read_moment(at, now)
        changes["start_before"] = changes["not_before"] + _leeway(job)
    if start_before == NEVER:
        changes["start_before"] = NEVER
    elif start_before is not None:
        changes["start_before"] = read_moment(start_before, now)
    if target is not None:
        changes["target"] = target
    if priority is not None:
        changes["priority"] = priority
    if splay is not None:
        changes["splay_s"] = splay.total_seconds()
    request = _signed_by_us(fleet, job["id"])
    if request is None:
        return _send(fleet, job, _plain(changes), JSON)
    sealed = signing_key(fleet.transport.profile).seal(encode(_changed(request, changes)))
    return _send(fleet, job, sealed.encode(), JOSE)


def _leeway(job: Document) -> timedelta:
    """How long after its time it might have started."""
    if job["not_before"] is None or job["start_before"] is None:
        return LATE
    begin, end = (datetime.fromisoformat(job[name]) for name in ("not_before", "start_before"))
    return end - begin


def _signed_by_us(fleet: Fleet, job: str) -> Request | None:
    """The request, if our own key signed it: nothing else is signed again."""
    profile = fleet.transport.profile
    if profile.key_path is None:
        return None
    key = signing_key(profile)
    try:
        sealed, _ = fleet.transport.get_bytes("jobs", job, "request")
        _, payload = unseal(sealed.decode("ascii", "replace").strip(), {key.id: key.verify_key})
    except Unauthentic:
        return None
    except Problem as problem:
        if problem.status != FORBIDDEN:
            raise
        return None
    request = decode(Request, payload)
    if request.id != job:
        raise InvalidSetting(f"the server shows {request.id} for {job}; nothing was signed")
    return request


def _changed(request: Request, changes: Mapping[str, Any]) -> Request:
    fields = dict(changes)
    if "data" in fields:
        fields["data"] = {**request.data, **fields["data"]}
    if "start_before" in fields:
        fields["keep"] = fields["start_before"] == NEVER
        fields["start_before"] = None if fields["keep"] else fields["start_before"]
    return msgspec.structs.replace(request, **fields)


def _plain(changes: Mapping[str, Any]) -> bytes:
    document = dict(changes)
    for name in ("not_before", "start_before"):
        if isinstance(document.get(name), datetime):
            document[name] = document[name].isoformat()
    if "target" in document:
        document["target"] = msgspec.to_builtins(document["target"])
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def _send(fleet: Fleet, job: Document, body: bytes, content_type: str) -> Document:
    headers = {"If-Match": f'"{job["version"]}"'}
    changed: Document = fleet.transport.send(
        "PATCH", "jobs", job["id"], body=body, content_type=content_type, headers=headers
    )
    return changed

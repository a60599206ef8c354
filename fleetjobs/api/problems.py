"""Problems: every error leaves as `application/problem+json` (RFC 9457), never as a traceback."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from fleetjobs import errors
from fleetjobs.api.faults import InvalidBody, InvalidParameter, TooLong, Unconditional, UnknownType
from fleetjobs.api.refusals import note_refusal

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5  #: told to callers when something we depend on is away
FULL_RETRY_AFTER_S = 60  #: and when more is live than may be

_CODES = {400: "invalid_document", 404: "not_found", 413: "too_long"}  # of the framework's own


#: the HTTP status of a fault; the nearest ancestor named here counts
STATUSES: Mapping[type[errors.Fault], HTTPStatus] = {
    errors.Fault: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.Refused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidDocument: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Unauthentic: HTTPStatus.FORBIDDEN,
    errors.Denied: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.UnknownAgent: HTTPStatus.NOT_FOUND,
    errors.UnknownAction: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.InvalidTransition: HTTPStatus.CONFLICT,
    errors.Outdated: HTTPStatus.PRECONDITION_FAILED,
    errors.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooOften: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    InvalidBody: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unconditional: HTTPStatus.PRECONDITION_REQUIRED,
    UnknownType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}


class ProblemDocument(BaseModel):
    """What went wrong; `code` is stable and meant for programs, `detail` for people."""

    type: str = Field(description="`about:blank`: title and code say it all")
    title: str
    status: int
    detail: str
    code: str = Field(examples=["not_found", "invalid_input"])
    field: str | None = Field(default=None, description="the field or parameter that is wrong")


def _described(*answers: tuple[HTTPStatus, str]) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status.value: {"description": text, "content": content} for status, text in answers}


#: what any operation may answer; per status, because tools do not know `default` well
RESPONSES = _described(
    (HTTPStatus.BAD_REQUEST, "The request cannot be read."),
    (HTTPStatus.UNAUTHORIZED, "No token, or one that is unknown, expired or revoked."),
    (HTTPStatus.FORBIDDEN, "The account may not do this."),
    (HTTPStatus.NOT_FOUND, "Nothing of that name that the account may see."),
    (HTTPStatus.UNPROCESSABLE_ENTITY, "The request can be read and makes no sense."),
    (HTTPStatus.SERVICE_UNAVAILABLE, "Something the server depends on is away; try again."),
)
#: and what those may answer that make one
FULL = _described(
    (HTTPStatus.TOO_MANY_REQUESTS, "A node, or the org, has too many jobs that have not ended.")
)
#: and what those may answer that take passwords
TOO_OFTEN = _described((HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords of late."))
#: and what those may answer that change a job
CHANGES = _described(
    (HTTPStatus.CONFLICT, "The job stands otherwise than the change needs."),
    (HTTPStatus.PRECONDITION_FAILED, "The job was changed meanwhile."),
    (HTTPStatus.PRECONDITION_REQUIRED, "The change does not say of which version."),
    (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A body of that type is not taken here."),
)


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document as a response."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if field is not None:
        document["field"] = field
    return Response(
        msgspec.json.encode(document), status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def status_of(fault: errors.Fault) -> HTTPStatus:
    """The HTTP status a fault stands for."""
    return next(STATUSES[kind] for kind in type(fault).__mro__ if kind in STATUSES)


def answer_with_problems(app: FastAPI) -> None:
    """Have the app answer every error, its framework's too, with a problem document."""
    app.add_exception_handler(errors.Fault, answer_fault)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(Exception, _of_defect)


def answer_fault(request: Request, fault: Exception) -> Response:
    """The problem document of a fault."""
    assert isinstance(fault, errors.Fault)  # noqa: S101  registered for nothing else
    status = status_of(fault)
    headers, detail = {}, str(fault)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s: %s: %s", request.method, request.url.path, fault.code, fault)
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        # a driver's words name hosts, ports and users: they are for the log
        logger.warning("%s %s: %s: %s", request.method, request.url.path, fault.code, fault)
        detail = f"{_away(fault)} cannot be reached; try again soon"
        headers["Retry-After"] = str(RETRY_AFTER_S)
    elif status is HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = str(FULL_RETRY_AFTER_S)
    elif status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    note_refusal(request, status, fault.code, str(fault))
    field = getattr(fault, "field", None)
    return problem(status, detail, code=fault.code, field=field, headers=headers)


def _away(fault: errors.Fault) -> str:
    match fault:
        case errors.DatabaseAway():
            return "the database"
        case errors.BrokerAway():
            return "the broker"
        case _:
            return "something the server depends on"


def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for nothing else
    first = error.errors()[0]
    field = str(first["loc"][1]) if len(first["loc"]) > 1 else None  # [0] is query, path or header
    if first["type"] == "extra_forbidden":
        detail = f"there is no parameter {field!r:.62} here"
    else:
        detail = f"{field}: {first['msg'].removeprefix('Value error, ')}"
    note_refusal(request, 422, InvalidParameter.code, detail)
    return problem(422, detail, code=InvalidParameter.code, field=field)


def _of_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        detail = f"{request.method} is not possible here; {allowed} is"
        return problem(405, detail, code="method_not_allowed", headers={"Allow": allowed})
    phrase = HTTPStatus(error.status_code).phrase
    code = _CODES.get(error.status_code, phrase.lower().replace(" ", "_"))
    detail = f"there is no {request.url.path}" if error.status_code == 404 else str(error.detail)  # noqa: PLR2004
    note_refusal(request, error.status_code, code, detail)
    return problem(error.status_code, detail, code=code, headers=error.headers)


def _methods(request: Request) -> list[str]:
    """The methods of all routes at this path; the framework names those of the first alone."""

    def is_taken(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    methods = [method for method in ("DELETE", "GET", "PATCH", "POST", "PUT") if is_taken(method)]
    return sorted([*methods, "HEAD"]) if "GET" in methods else methods


def _of_defect(request: Request, _: Exception) -> Response:
    """The server logs the traceback (uvicorn does); the caller learns that it is our fault."""
    detail = f"{request.method} {request.url.path} failed; the server's log says why"
    return problem(500, detail, code=errors.Fault.code)

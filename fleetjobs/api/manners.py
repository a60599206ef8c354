"""Manners: what every answer has, and HEAD wherever there is GET."""

from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
NO_STORE = (b"cache-control", b"no-store")  #: answers are one account's, at one moment


class _Enough(OSError):
    """Raised into an endpoint that goes on sending after a HEAD was answered."""


class Manners:
    """Middleware: adds headers to answers; answers HEAD as GET without its body."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:

            async def send_kindly(message: Message) -> None:
                await send(_with_headers(message))

            await self._app(scope, receive, send_kindly)

    async def _head(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        answered = False

        async def send_bare(message: Message) -> None:
            nonlocal answered
            if answered:
                raise _Enough
            if message["type"] == "http.response.start":
                await send(_with_headers(message))
            else:
                answered = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                if message.get("more_body"):
                    raise _Enough

        try:
            await self._app({**scope, "method": "GET"}, receive, send_bare)
        except Exception:
            if not answered:
                raise


def _with_headers(message: Message) -> Message:
    if message["type"] == "http.response.start":
        headers = list(message.get("headers", ()))
        if all(name.lower() != NO_STORE[0] for name, _ in headers):
            headers.append(NO_STORE)
        message["headers"] = [*headers, *HEADERS]
    return message

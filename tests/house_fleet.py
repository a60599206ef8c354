"""A fleet that asks a server in this process: commands are tried on the real interface."""

import json
from typing import Any

from starlette.testclient import TestClient

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile
from fleetjobs.errors import Problem


class HouseTransport:
    """What a client's transport does, without a network."""

    def __init__(self, client: TestClient) -> None:
        self.profile = Profile(url="http://x", token="", origin="test")
        self._client = client

    @property
    def fleet(self) -> Fleet:
        return Fleet(self)  # type: ignore[arg-type]  it keeps to what is asked of it

    def close(self) -> None:
        """Nothing is open."""

    def get(self, *path: str, query: Any = (), within: float = 0) -> Any:
        del within
        return self._ask("GET", path, query)

    def post(self, *path: str, body: bytes, content_type: str) -> Any:
        return self._ask("POST", path, (), body, content_type)

    def send(
        self,
        method: str,
        *path: str,
        body: bytes,
        content_type: str = "application/json",
        headers: Any = None,
        query: Any = (),
    ) -> Any:
        return self._ask(method, path, query, body, content_type, headers)

    def _ask(
        self,
        method: str,
        path: Any,
        query: Any,
        body: bytes = b"",
        content_type: str = "",
        headers: Any = None,
    ) -> Any:
        given = dict(headers or {}) | ({"Content-Type": content_type} if body else {})
        if self.profile.as_org:
            given["As-Org"] = self.profile.as_org
        answer = self._client.request(
            method,
            "/api/v1/" + "/".join(path),
            params=[(name, value) for name, value in query if value is not None],
            content=body or None,
            headers=given,
        )
        if answer.status_code >= 300:
            raise Problem(answer.status_code, json.loads(answer.content))
        return answer.json() if answer.content else None

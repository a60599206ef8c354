"""Readiness: wait until a fleet that is starting answers as a whole."""

import http.client
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleetjobs.client.profile import Profile, read_profile
from fleetjobs.errors import Unavailable
from fleetjobs.nodes import CONTROLLER
from fleetjobs.programs.family import Family, Stop
from fleetjobs.programs.premises import Premises

READY_WITHIN_S = 90.0
DEATHS_MAX = 2  #: of one child while starting; more, and it will not get better


def wait_for_fleet(premises: Premises, nodes: Sequence[str], family: Family, stop: Stop) -> bool:
    """Return once server and all nodes answer; False if told to stop before.

    Raises Unavailable, with the end of the right log, when a part keeps dying or time is up.
    """
    started = datetime.now(UTC)
    deadline = time.monotonic() + READY_WITHIN_S
    profile = read_profile(premises.client)
    while not stop.asked:
        family.watch(within=0.05)
        for child in family.children:
            if child.deaths > DEATHS_MAX:
                raise Unavailable(
                    f"{child.name} does not start; {child.log} ends with\n{_end(child.log)}"
                )
        missing = set(nodes) - _heard_of(profile, since=started)
        if not missing:
            return True
        if time.monotonic() > deadline:
            absent, logs = ", ".join(sorted(missing)[:5]), premises.log("nursery").parent
            raise Unavailable(f"not heard of in {READY_WITHIN_S:g} s: {absent}; see {logs}")
    return False


def _heard_of(profile: Profile, *, since: datetime) -> set[str]:
    """The nodes whose beat the server has seen since then; none while it does not answer."""
    return {
        node["identity"]
        for query in ("", f"?identity={CONTROLLER}")  # it is told of where it is named
        for node in ask_nodes(profile, query)
        if node["seen_at"] and datetime.fromisoformat(node["seen_at"]) >= since
    }


def ask_nodes(profile: Profile, query: str = "") -> list[dict[str, Any]]:
    """The server's node documents; none while it does not answer."""
    connection = http.client.HTTPConnection(profile.url.removeprefix("http://"), timeout=5)
    try:
        headers = {"Authorization": f"Bearer {profile.token}"}
        connection.request("GET", f"/api/v1/nodes{query}", headers=headers)
        response = connection.getresponse()
        document = json.loads(response.read()) if response.status == http.HTTPStatus.OK else {}
    except (OSError, http.client.HTTPException, ValueError):
        return []
    finally:
        connection.close()
    items: list[dict[str, Any]] = document.get("items", [])
    return items


def _end(log: Path) -> str:
    """What the log ends with."""
    try:
        return log.read_text(errors="replace")[-1500:].strip()
    except OSError:
        return "nothing: it cannot be read"

"""Flower shows our fleet as it shows any Celery: workers, actions, states and arguments."""

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from fleetjobs.client.rpc import rpcclient
from fleetjobs.programs.embedded import free_port
from tests.fleets import up
from tests.processes import wait_for


def test_flower_sees_what_the_nodes_do(tmp_path: Path) -> None:
    port = free_port()
    with up(tmp_path, "--nodes=1", "--flower", f"--flower-port={port}"):
        wait_for(lambda: ask(port, "workers"), within=30.0)

        replies = list(rpcclient("demo", config=tmp_path / "client.toml").echo(text="hello"))

        assert [reply.statuscode for reply in replies] == [0]
        shown = wait_for(lambda: ended(port), within=30.0)
        assert shown["name"] == "demo.echo"
        assert shown["worker"] == "node1@fleetjobs"
        assert "hello" in shown["kwargs"]


def ended(port: int) -> dict[str, Any] | None:
    """The first action that Flower says has succeeded."""
    tasks: dict[str, dict[str, Any]] = ask(port, "tasks")
    return next((task for task in tasks.values() if task["state"] == "SUCCESS"), None)


def ask(port: int, what: str) -> Any:
    """What Flower's API answers; nothing while it does not."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/{what}", timeout=5) as response:
            return json.load(response)
    except OSError:
        return {}

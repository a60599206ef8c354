"""External discovery: a program is asked as Choria asks it, and its answer is held to the word."""

import json
from pathlib import Path

import pytest

from fleetjobs.client.discovery import REQUEST, discover
from fleetjobs.errors import NoNodes, NotDiscovered
from fleetjobs.targets import make_target

GOOD = '{"protocol": "io.choria.choria.discovery.v1.external_reply", "nodes": ["b", "a", "b"]}'


def program(place: Path, script: str) -> str:
    """A program of that shell script; its path."""
    path = place / "find nodes"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}'"


def replies(place: Path, text: str) -> str:
    """A program that replies so."""
    (place / "text").write_text(text)
    return program(place, f'cat {place}/text > "$CHORIA_EXTERNAL_REPLY"')


@pytest.mark.spec("S0-07")
def test_a_program_is_asked_as_by_choria(tmp_path: Path) -> None:
    """By its words, its environment and a request; the names it gives are taken once each."""
    (tmp_path / "reply").write_text(GOOD)
    found = program(
        tmp_path,
        f'echo "$@" > {tmp_path}/words; env > {tmp_path}/env; cp "$2" {tmp_path}/request;'
        f' [ "$3" = "$CHORIA_EXTERNAL_REPLY" ] && cp {tmp_path}/reply "$3"',
    )
    target = make_target(facts=["country=mt"], classes=["web"], agents=["rpcutil"], compound="a=1")

    names = discover(f"{found} --all", target, org="acme")

    assert names == ("b", "a")
    flag, request, reply, protocol = (tmp_path / "words").read_text().split()
    assert (flag, protocol) == ("--all", REQUEST)
    environment = (tmp_path / "env").read_text().splitlines()
    assert {
        f"CHORIA_EXTERNAL_PROTOCOL={REQUEST}",
        f"CHORIA_EXTERNAL_REQUEST={request}",
        f"CHORIA_EXTERNAL_REPLY={reply}",
    } <= {*environment}
    assert json.loads((tmp_path / "request").read_text()) == {
        "$schema": "https://choria.io/schemas/choria/discovery/v1/external_request.json",
        "protocol": REQUEST,
        "collective": "acme",
        "timeout": 30,
        "options": {},
        "filter": {
            "fact": [{"fact": "country", "operator": "==", "value": "mt"}],
            "cf_class": ["web"],
            "agent": ["rpcutil"],
            "identity": [],
            "compound": [[{"expr": "a=1"}]],
        },
    }
    assert not Path(request).exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"error": "the database is away"}', "says: the database is away"),
        ("", "no reply that can be read"),
        ("\xff", "no object|that can be read"),
        ('{"nodes": [1]}', "can be no node"),
        ('{"nodes": ["/x/"]}', "can be no node"),
        ('{"nodes": "a"}', "can be no node"),
        ('{"nodes": ["a"], "nodes": ["b"]}', "can be read"),
        ("[]", "no object"),
        ("[" * 100_000, "can be read"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_the_reason(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(NotDiscovered, match=why):
        discover(replies(tmp_path, text), make_target(), org="acme")


@pytest.mark.parametrize("text", ["{}", '{"nodes": []}', '{"nodes": null}'])
def test_no_name_is_no_node_and_not_every_node(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoNodes, match="names no node"):
        discover(replies(tmp_path, text), make_target(), org="acme")


@pytest.mark.parametrize(
    ("command", "why"),
    [("", "no program"), ("/nowhere", "No such file"), ("'x", "No closing"), ("false", "with 1")],
)
def test_a_program_that_cannot_be_run_is_named(command: str, why: str) -> None:
    with pytest.raises(NotDiscovered, match=why):
        discover(command, make_target(), org="acme")


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    found = program(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid; wait")

    with pytest.raises(NotDiscovered, match=r"within 0\.5 s"):
        discover(found, make_target(), org="acme", timeout_s=0.5)

    pid = int((tmp_path / "pid").read_text())
    status = Path(f"/proc/{pid}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"

"""Whatever a program leaves as its reply, there is one clear outcome that can be sent."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetjobs.documents import LIMIT_BYTES as MESSAGE_BYTES
from fleetjobs.documents import decode, encode
from fleetjobs.interfaces import read_interface
from fleetjobs.layouts import Agent
from fleetjobs.messages import Reply
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.protocols.choice import protocol_of
from fleetjobs.node.protocols.words import Asked
from fleetjobs.node.replies import ended
from fleetjobs.node.reply_files import LIMIT_BYTES, read_raw
from fleetjobs.node.verdict import Ending
from fleetjobs.node.workplace import Workplace
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import State
from tests.reception import NOW
from tests.wild import ddl

PROVIDERS = ["fleetjobs", "external", "implemented_by"]
PLACE = Workplace(
    node=NodeId("web1"), spool=Path(), key=Path(), agents=(), node_file=Path("node.json")
)
GOOD = b'{"statuscode": 0, "statusmsg": "OK", "data": {"result": "hi", "list": [1, {"a": null}]}}'


def outcome(directory: Path, provider: str, content: bytes, exit_code: int = 0) -> Reply:
    """The reply that travels for what lies in the reply file, after its journey."""
    (directory / "reply.json").write_bytes(content)
    interface = read_interface(ddl("wild", provider=provider))
    agent = Agent(name="wild", interface=interface, directory=directory, scripts={"say": "say.sh"})
    asked = Asked(agent, interface.action("say"))
    protocol = protocol_of(provider, PLACE)
    ending = Ending(exit_code=exit_code)
    verdict = protocol.judge(ending, protocol.read(directory), asked, None)
    key = RunKey(JobId("019ab000-0000-7000-8000-000000000001"), 1)
    sealed = encode(ended(key, NodeId("web1"), verdict, NOW))
    assert len(sealed) < MESSAGE_BYTES
    return decode(Reply, sealed)


def nested(depth: int) -> bytes:
    return b'{"data": {"a": ' + b"[" * depth + b"]" * depth + b"}}"


CORPUS: dict[str, bytes] = {
    "nothing": b"",
    "spaces": b"  \n",
    "half": GOOD[:40],
    "twice": GOOD + GOOD,
    "binary": bytes(range(256)) * 10,
    "utf-16": GOOD.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "not utf-8": b'{"data": {"a": "\xff"}}',
    "half a surrogate pair": b'{"data": {"a": "\\ud800"}}',
    "NaN": b'{"data": {"a": NaN}}',
    "Infinity": b'{"data": {"a": -Infinity}}',
    "beyond floats": b'{"data": {"a": 1e999}}',
    "beyond 64 bits": b'{"data": {"a": 18446744073709551616}}',
    "a million digits": b'{"data": {"a": ' + b"1" * 1_000_000 + b"}}",
    "deep": nested(100),
    "deeper": nested(100_000),
    "deepest": b'{"data":' * 500_000,
    "many": b'{"data": {"a": [' + b"0," * 1_500_000 + b"0]}}",
    "grows": b'{"data": {"a": [' + b"1e15," * 800_000 + b"0]}}",
    "too long": b'{"data": {"a": "' + b"x" * LIMIT_BYTES + b'"}}',
    "text for data": b'{"data": "x"}',
    "text for status": b'{"statuscode": "OK"}',
    "fraction for status": b'{"statuscode": 0.5}',
    "status beyond": b'{"statuscode": 4711}',
    "object for message": b'{"statusmsg": {}}',
    "a list": b"[1]",
    "a word": b"true",
}


@pytest.mark.spec("EA-16")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", CORPUS)
def test_a_broken_reply_comes_to_an_end_that_can_be_sent(
    tmp_path: Path, provider: str, name: str
) -> None:
    reply = outcome(tmp_path, provider, CORPUS[name])

    assert reply.state in {State.FAILED, State.SUCCEEDED}
    if provider == "external":
        assert (reply.state, reply.statuscode) == (State.FAILED, 1)
    if reply.state is State.FAILED:
        assert reply.statusmsg


@pytest.mark.spec("EA-16")
@pytest.mark.parametrize("provider", PROVIDERS)
@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_come_to_one_end(tmp_path: Path, provider: str, data: st.DataObject) -> None:
    """A good reply, of which some bytes are others; with any exit status."""
    at = data.draw(st.integers(0, len(GOOD)))
    content = (
        GOOD[:at] + data.draw(st.binary(max_size=8)) + GOOD[at + data.draw(st.integers(0, 8)) :]
    )
    exit_code = data.draw(st.integers(-64, 255))

    reply = outcome(tmp_path, provider, content, exit_code)

    assert reply.state in {State.FAILED, State.SUCCEEDED}
    if exit_code:
        assert reply.state is State.FAILED


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
KEYS = st.sampled_from(["statuscode", "statusmsg", "data", "delay_s", "next", "x"])


@pytest.mark.spec("EA-16")
@pytest.mark.parametrize("provider", PROVIDERS)
@given(st.dictionaries(KEYS, values))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_json_comes_to_one_end(tmp_path: Path, provider: str, document: dict[str, Any]) -> None:
    reply = outcome(tmp_path, provider, json.dumps(document).encode(errors="surrogatepass"))

    assert reply.state in {State.FAILED, State.SUCCEEDED}


@pytest.mark.spec("EA-16")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_is_there_twice_counts_once(tmp_path: Path, provider: str) -> None:
    """The last of them, as Choria's reader and MCollective's have it."""
    content = b'{"statuscode": 1, "statuscode": 0, "data": {"a": 1}, "data": {"a": 2, "a": 3}}'

    reply = outcome(tmp_path, provider, content)

    data = reply.data["data"] if provider == "implemented_by" else reply.data
    assert (reply.state, data["a"]) == (State.SUCCEEDED, 3)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_nul_in_the_data_is_kept(tmp_path: Path, provider: str) -> None:
    """Programs read files that hold some."""
    reply = outcome(tmp_path, provider, b'{"data": {"a": "x\\u0000y"}}')

    data = reply.data["data"] if provider == "implemented_by" else reply.data
    assert data["a"] == "x\0y"


@pytest.mark.spec("EA-17")
def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    pipe, directory, link = tmp_path / "pipe", tmp_path / "directory", tmp_path / "link"
    os.mkfifo(pipe)
    directory.mkdir()
    link.symlink_to("/dev/zero")

    for path in (pipe, directory, link):
        assert read_raw(path) == "its reply cannot be read: it is not a file"
    assert read_raw(tmp_path / "none") == "it left no reply"


@pytest.mark.spec("EA-17")
def test_a_reply_that_is_too_long_does_not_stay_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "reply.json"
    with path.open("wb") as file:
        file.truncate(5 * 1024**3)

    assert "longer than" in str(read_raw(path))
    assert not path.exists()


def test_the_longest_reply_fits_into_a_message(tmp_path: Path) -> None:
    room = LIMIT_BYTES - len(b'{"data":{"a":""}}')
    content = msgspec.json.encode({"data": {"a": "x" * room}})

    assert outcome(tmp_path, "external", content).state is State.SUCCEEDED

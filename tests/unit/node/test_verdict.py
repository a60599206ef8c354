import json
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.contract import Next
from fleetjobs.interfaces import Action
from fleetjobs.node.reply_files import LIMIT_BYTES
from fleetjobs.node.verdict import Ending, ReplyDocument, judge, judge_reply
from fleetjobs.registry import Registry
from fleetjobs.states import Reason, State
from tests.workbench import write_agent


@pytest.fixture
def action(tmp_path: Path) -> Action:
    """An action with an output `kind` whose default is `plain`, and 60 s."""
    write_agent(tmp_path, "shell", program="x")
    return Registry([tmp_path]).agent("shell").interface.action("do")


def reply(**fields: Any) -> ReplyDocument:
    return ReplyDocument(**fields)


def test_a_good_reply_has_its_output_defaults(action: Action) -> None:
    verdict = judge(Ending(exit_code=0), reply(data={"a": 1}), action)

    assert (verdict.state, verdict.reason, verdict.statuscode) == (State.SUCCEEDED, None, 0)
    assert verdict.data == {"kind": "plain", "a": 1}
    assert verdict.statusmsg == "OK"


@pytest.mark.parametrize(
    ("ending", "replied", "reason", "status", "message"),
    [
        (Ending(exit_code=0), reply(statuscode=1, statusmsg="no"), Reason.ABORTED, 1, "no"),
        (Ending(exit_code=0), reply(statuscode=2), Reason.UNKNOWN_ACTION, 2, "status 2"),
        (Ending(exit_code=0), reply(statuscode=4), Reason.USER_ERROR, 4, "status 4"),
        (Ending(exit_code=0), reply(statuscode=5), Reason.EXCEPTION, 5, "status 5"),
        (Ending(exit_code=0), reply(statuscode=77), Reason.ABORTED, 77, "status 77"),
        (Ending(exit_code=0), reply(statuscode=999), Reason.ABORTED, 255, "status 255"),
        (Ending(exit_code=0), "it left no reply", Reason.NO_REPLY, 5, "it left no reply"),
        (Ending(exit_code=3), reply(), Reason.EXIT_CODE, 1, "ended with status 3"),
        (Ending(exit_code=3), reply(statuscode=4, statusmsg="bad"), Reason.USER_ERROR, 4, "bad"),
        (Ending(exit_code=3), "gone", Reason.EXIT_CODE, 1, "ended with status 3, and gone"),
        (Ending(exit_code=-9), "gone", Reason.EXIT_CODE, 1, "ended by SIGKILL, and gone"),
        (Ending(exit_code=-64), "gone", Reason.EXIT_CODE, 1, "ended by SIGRTMAX, and gone"),
        (Ending(exit_code=-99), "gone", Reason.EXIT_CODE, 1, "ended by signal 99, and gone"),
        (Ending(exit_code=-9, timed_out=True), "gone", Reason.TIMEOUT, 1, "took longer than 60 s"),
        (Ending(exit_code=0, timed_out=True), reply(), Reason.TIMEOUT, 1, "took longer than 60 s"),
        (
            Ending(exit_code=None),
            "gone",
            Reason.INTERRUPTED,
            5,
            "its runner was killed, and gone",
        ),
    ],
)
def test_every_bad_end_has_its_reason(
    action: Action,
    ending: Ending,
    replied: ReplyDocument | str,
    reason: Reason,
    status: int,
    message: str,
) -> None:
    verdict = judge(ending, replied, action)

    assert verdict.state is State.FAILED
    assert (verdict.reason, verdict.statuscode, verdict.statusmsg) == (reason, status, message)
    assert verdict.exit_code == ending.exit_code


def test_a_program_whose_end_nobody_saw_is_believed_what_it_replied(action: Action) -> None:
    assert judge(Ending(exit_code=None), reply(), action).state is State.SUCCEEDED


@pytest.mark.parametrize("ending", [Ending(exit_code=3), Ending(exit_code=None, timed_out=True)])
def test_a_failure_keeps_the_data_that_was_replied(action: Action, ending: Ending) -> None:
    assert judge(ending, reply(data={"a": 1}), action).data == {"a": 1}


def test_a_program_that_never_began_has_no_exit_status(action: Action) -> None:
    verdict = judge(Ending(exit_code=127, trouble="no such file"), "it left no reply", action)

    assert (verdict.reason, verdict.statuscode) == (Reason.LOAD_ERROR, 5)
    assert (verdict.statusmsg, verdict.exit_code) == ("no such file", None)


def test_without_an_interface_the_data_stays_as_it_is() -> None:
    assert judge_reply(reply(data={"a": 1}), None).data == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"data": []}',
        '{"data": null}',
        '{"statuscode": "0"}',
        '{"statuscode": 0, "data": {"x": NaN}}',
        '{"data":' * 5000 + "{}" + "}" * 5000,
        "\xff",
    ],
)
def test_a_reply_that_is_none_says_why(tmp_path: Path, text: str) -> None:
    (tmp_path / "reply").write_text(text, encoding="latin-1")

    assert "cannot be read" in str(ReplyDocument.read(tmp_path / "reply"))


def test_a_missing_reply_says_so(tmp_path: Path) -> None:
    assert ReplyDocument.read(tmp_path / "none") == "it left no reply"


def test_a_reply_too_long_for_a_message_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reply").write_text(json.dumps({"data": {"x": "y" * LIMIT_BYTES}}))

    assert "longer than" in str(ReplyDocument.read(tmp_path / "reply"))


def test_other_keys_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "reply").write_text('{"data": {}, "progress": 3}')

    assert ReplyDocument.read(tmp_path / "reply") == reply()


@pytest.mark.spec("S1-17")
def test_a_delay_is_passed_on_unless_the_action_succeeded_or_was_stopped(action: Action) -> None:
    again = reply(statuscode=1, statusmsg="busy", delay_s=30)

    verdicts = [
        judge(Ending(exit_code=0), again, action),
        judge(Ending(exit_code=0), reply(delay_s=30), action),
        judge(Ending(exit_code=-15, stopped="cancelled"), again, action),
    ]

    assert [verdict.delay_s for verdict in verdicts] == [30, None, None]
    assert [verdict.state for verdict in verdicts] == [
        State.FAILED,
        State.SUCCEEDED,
        State.CANCELLED,
    ]


@pytest.mark.parametrize("delay", [-1, 1e9, "soon"])
def test_a_delay_that_makes_no_sense_is_no_readable_reply(tmp_path: Path, delay: object) -> None:
    path = tmp_path / "reply.json"
    path.write_text(json.dumps({"statuscode": 1, "delay_s": delay}))

    assert "cannot be read" in str(ReplyDocument.read(path))


@pytest.mark.spec("S0-08")
def test_jobs_that_are_to_follow_are_told_only_of_what_succeeded(action: Action) -> None:
    asked = reply(next=(Next(action="do"), Next(agent="demo", action="echo", data={"text": "a"})))

    assert judge(Ending(exit_code=0), asked, action).next == (
        Next(agent="shell", action="do"),
        Next(agent="demo", action="echo", data={"text": "a"}),
    )
    assert judge(Ending(exit_code=1), asked, action).next == ()
    assert judge(Ending(exit_code=0, timed_out=True), asked, action).next == ()


@pytest.mark.parametrize(
    "following",
    [
        "[{}]",
        '[{"action": "Do"}]',
        '[{"action": "do", "more": 1}]',
        '[{"action": "do", "delay_s": -1}]',
        '[{"action": "do", "target": {"identities": "web1"}}]',
        "[" + ", ".join(['{"action": "do"}'] * 1001) + "]",
        "{}",
    ],
)
def test_jobs_that_cannot_follow_make_the_reply_unreadable(tmp_path: Path, following: str) -> None:
    (tmp_path / "reply.json").write_text(f'{{"next": {following}}}')

    read = ReplyDocument.read(tmp_path / "reply.json")

    assert isinstance(read, str)
    assert "next" in read

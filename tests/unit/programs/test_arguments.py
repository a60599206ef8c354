"""Arguments: what makes no sense is refused in words, with the exit status of all usage errors."""

from collections.abc import Callable

import pytest

from fleetjobs.programs import admin, agent, coordinator, flower, node, server, up


@pytest.mark.parametrize(
    ("main", "words", "why"),
    [
        (up.main, ["--nodes", "x"], "invalid int value: 'x'"),
        (up.main, ["--port", "99999"], "'99999' is no port: 1 to 65535"),
        (up.main, ["--flower-port", "-1"], "'-1' is no port"),
        (flower.main, ["--port", "-1"], "'-1' is no port"),
        (node.main, ["--frob"], "unrecognized arguments: --frob"),
        (server.main, ["--frob"], "unrecognized arguments: --frob"),
        (coordinator.main, ["frob"], "invalid choice: 'frob'"),
        (admin.main, ["account"], "the following arguments are required: name"),
        (admin.main, ["account", "ann", "--verify-key", "-xy"], "is given as --OPTION=VALUE"),
        (agent.main, ["new"], "the following arguments are required: name, --language"),
    ],
)
def test_a_program_says_what_it_does_not_understand(
    capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], int], words: list[str], why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("fj ")
    assert why in said
    assert "--help` tells more" in said


def test_flower_says_which_brokers_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told where the URL is used first, and that was outside of what catches refusals."""
    assert flower.main(["--broker", "foo"]) == 1
    assert capsys.readouterr().err.startswith("fj flower: '' is no broker we know; expected amqp")

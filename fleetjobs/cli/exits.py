"""Exit codes: MCollective's, so that scripts written for it go on working."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0  # all is well; of a call: every node replied, and every reply is good
    ERROR = 1  # no node matched, the words make no sense, or nobody could be asked
    FAILED = 2  # some replies are bad, or some nodes did not reply in time
    NO_REPLY = 3  # nodes matched, and none replied
    NONE_NAMED = 4  # nodes were named one by one, and none of them replied
    INTERRUPTED = 130  # ctrl-C; what was asked for goes on
    PIPE_CLOSED = 141  # whoever read our output went away


def of_replies(*, good: int, bad: int, silent: int, named: bool) -> Exit:
    """The exit code of a call; `named`: its nodes were named one by one."""
    if good + bad == 0:
        return (Exit.NONE_NAMED if named else Exit.NO_REPLY) if silent else Exit.ERROR
    return Exit.FAILED if bad or silent else Exit.OK


EPILOG = """\
[bold]Exit status:[/] 0 all is well · 1 nothing matched, or an error · 2 some failed or did not \
reply · 3 none replied · 4 none of the nodes named replied · 130 interrupted
"""

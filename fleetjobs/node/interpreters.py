"""Interpreters: why a program cannot be executed, in words that tell what to do."""

import errno
from pathlib import Path

_HEAD = 256  # bytes of a first line that Linux looks at; execve(2)


def why_not(error: Exception) -> str:
    """What went wrong when a program was to be executed.

    The system says `no such file` of a program that is there when what is missing is the
    interpreter in its first line.
    """
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    program = Path(error.filename)
    head = _first_line(program)
    if error.errno == errno.ENOEXEC:
        if head.startswith("#!"):
            return f"{program.name}: its first line names no interpreter: {head:.80}"
        return f"{program.name}: is no program for this machine, and has no #! line"
    interpreter = head.removeprefix("#!").split(maxsplit=1)
    if error.errno == errno.ENOENT and head.startswith("#!") and interpreter:
        dos = interpreter[0].endswith("\r") or head.endswith("\r")
        more = "; the file has line ends of DOS" if dos else ""
        return f"{program.name}: its interpreter {interpreter[0].strip()} is not here{more}"
    return f"{program.name}: {error.strerror}"


def _first_line(program: Path) -> str:
    try:
        with program.open("rb") as file:
            return file.read(_HEAD).split(b"\n")[0].decode("utf-8", "replace")
    except OSError:
        return ""

"""Arguments: the words behind a program's name, refused as the rest of the command line does it."""

import argparse
import sys
from typing import NoReturn

USAGE = 1  #: the exit status of words that make no sense; argparse's own 2 means "some failed"
PORT_MAX = 65535


def port(text: str) -> int:
    """A port to listen on; 0: any that is free. Raises ArgumentTypeError."""
    if text.isascii() and text.isdecimal() and int(text[:9]) <= PORT_MAX:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to {PORT_MAX}, or 0 for any")


class Parser(argparse.ArgumentParser):
    """Says what is wrong and how it is used, and ends with 1."""

    def error(self, message: str) -> NoReturn:
        """End the program, for these words mean nothing to it."""
        if message.endswith("expected one argument"):  # it may stand there, and look like an option
            message += "; one that begins with - is given as --OPTION=VALUE"
        usage = " ".join(self.format_usage().split())
        sys.stderr.write(
            f"{self.prog}: {message}\n    {usage}\n    `{self.prog} --help` tells more\n"
        )
        sys.exit(USAGE)

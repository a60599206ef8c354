"""demo: harmless actions to try a fleet with, and to test one."""

import base64
import binascii
import os
import re
import stat
import sys
import time

from fleetjobs.agent import ABORTED, INVALID_DATA, Agent, Delay, action, main

LONGEST = 86_400  #: seconds of a sleep
EXIT_CODES = range(256)
MARK = re.compile(rb"\S+ \S+ \d+ \d+ (start|end)\b")  #: job node attempt pid start|end text


class Demo(Agent):
    """Actions that show what can happen to one."""

    @action
    def echo(self, text: str) -> None:
        """Say it back."""
        self.reply["text"] = text

    @action
    def sleep(self, seconds: float) -> None:
        """Take that long, telling progress ten times."""
        self._sleep(seconds)
        self.reply["seconds"] = seconds

    @action("fail")
    def fail_first(self, times: int = 1) -> None:
        """Fail that many attempts, then succeed."""
        attempt = int(self.request["attempt"])
        self.reply["attempt"] = attempt
        if attempt <= times:
            self.fail(f"attempt {attempt} fails, as do the first {times}", ABORTED)

    @action
    def delay(self, seconds: float = 30, times: int = 1) -> None:
        """Ask that many attempts to be tried again later, then succeed."""
        self.reply["attempt"] = int(self.request["attempt"])
        if self.reply["attempt"] <= times:
            raise Delay(seconds)

    @action
    def out(
        self, stdout: str = "", stderr: str = "", code: int = 0, encoding: str = "text"
    ) -> None:
        """Write to both streams, byte for byte, and end with that exit code."""
        if code not in EXIT_CODES:
            self.fail(f"an exit code is 0 to 255, not {code}", INVALID_DATA)
        contents = [self._decode(text, encoding) for text in (stdout, stderr)]
        for stream, content in zip((sys.stdout, sys.stderr), contents, strict=True):
            stream.buffer.write(content)
            stream.flush()
        self.reply["code"] = code
        if code:
            sys.exit(code)

    @action
    def mark(self, file: str, text: str = "", seconds: float = 0) -> None:
        """Leave marks that outlive a crash: whoever reads them knows how often this ran."""
        self._mark(file, f"start {text}")
        self._sleep(seconds)
        self._mark(file, f"end {text}")
        self.reply["pid"] = os.getpid()

    @action
    def test(self, text: str = "test") -> None:
        """Say it back."""
        self.reply["text"] = text

    @action
    def wait(self, text: str = "wait") -> None:
        """Say it back."""
        self.reply["text"] = text

    @action("id")
    def identify(self, text: str = "id") -> None:
        """Say it back."""
        self.reply["text"] = text

    def _sleep(self, seconds: float) -> None:
        if not 0 <= seconds <= LONGEST:
            self.fail(f"sleeps 0 to {LONGEST} seconds, not {seconds:g}", INVALID_DATA)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.progress(round(100 * (1 - left / seconds)), f"{left:.0f} s left")
            time.sleep(min(left, max(seconds / 10, 0.05)))

    def _decode(self, text: str, encoding: str) -> bytes:
        if encoding == "text":
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            self.fail(f"not base64: {error}", INVALID_DATA)

    def _mark(self, path: str, words: str) -> None:
        """Append one line in one write, on the disk when this returns."""
        line = "{job} {node} {attempt} ".format_map(self.request) + f"{os.getpid()} {words}"
        try:
            descriptor = os.open(
                path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644
            )
        except OSError as error:
            self.fail(f"{path}: {error.strerror}")
        try:
            # we may be root: never write into what is not ours
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                self.fail(f"{path} is not a regular file")
            begin = os.pread(descriptor, 1000, 0)
            if begin and not MARK.match(begin):
                self.fail(f"{path} holds something else than marks")
            os.write(descriptor, line.strip().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    main()

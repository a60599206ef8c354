"""SysV: services as init scripts, on machines and in containers without systemd."""

import os
import shutil
from pathlib import Path

from service_commands import PATH, change, run
from service_standing import Standing, Status

from fleetjobs.agent import Fail

SCRIPTS = Path("/etc/init.d")
LEVELS = [Path(f"/etc/rc{level}.d") for level in (2, 3, 4, 5)]
#: LSB, init script actions: exit codes of `status`; 1 and 2 are dead with a trace left
STATUS = {0: Status.RUNNING, 1: Status.FAILED, 2: Status.FAILED, 3: Status.STOPPED}


class Sysv:
    """The init scripts of the machine."""

    name = "sysv"

    def look(self, service: str) -> Standing:
        """How it stands. Raises Fail if there is no such script."""
        asked = run(str(self._script(service)), "status")
        status = STATUS.get(asked.status, Status.UNKNOWN)
        if "usage:" in asked.output.lower():  # the script does not know `status`
            status = Status.UNKNOWN
        return Standing(status=status, enabled=self._is_enabled(service))

    def do(self, verb: str, service: str) -> None:
        """Start, stop, restart, enable or disable it. Raises Fail."""
        script = self._script(service)
        if verb not in ("enable", "disable"):
            change(str(script), verb)
        elif shutil.which("update-rc.d", path=PATH):
            if verb == "enable":
                change("update-rc.d", service, "defaults")  # only where it has no links yet
            change("update-rc.d", service, verb)
        elif shutil.which("chkconfig", path=PATH):
            change("chkconfig", service, "on" if verb == "enable" else "off")
        else:
            raise Fail("this node has neither update-rc.d nor chkconfig")

    def _script(self, service: str) -> Path:
        script = SCRIPTS / service
        if not script.is_file() or not os.access(script, os.X_OK):
            raise Fail(f"there is no service {service}")
        return script

    def _is_enabled(self, service: str) -> bool | None:
        if not any(level.is_dir() for level in LEVELS):
            return None
        return any(any(level.glob(f"S[0-9][0-9]{service}")) for level in LEVELS)

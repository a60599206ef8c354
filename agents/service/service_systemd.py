"""Systemd: services as units."""

from service_commands import change, run
from service_standing import Standing, Status

from fleetjobs.agent import Fail

SYSTEMCTL = ("systemctl", "--no-ask-password", "--no-pager")
STATUS = {
    "active": Status.RUNNING,
    "reloading": Status.RUNNING,
    "refreshing": Status.RUNNING,
    "inactive": Status.STOPPED,
    "failed": Status.FAILED,
    "activating": Status.STARTING,
    "deactivating": Status.STOPPING,
}
#: systemctl(1), is-enabled; the others, such as static, are neither
ENABLED = {
    "enabled": True,
    "enabled-runtime": True,
    "alias": True,
    "disabled": False,
    "masked": False,
    "masked-runtime": False,
}


class Systemd:
    """The units of the machine."""

    name = "systemd"

    def look(self, service: str) -> Standing:
        """How it stands. Raises Fail if there is no such unit."""
        wanted = "LoadState,ActiveState,UnitFileState,Type"
        shown = run(*SYSTEMCTL, "show", f"--property={wanted}", "--", service)
        if shown.status:
            raise Fail(f"systemctl: {shown.output.strip()[:500]}")
        unit = dict(line.split("=", 1) for line in shown.output.splitlines() if "=" in line)
        if unit.get("LoadState") == "not-found":
            raise Fail(f"there is no service {service}")
        return Standing(
            status=STATUS.get(unit.get("ActiveState", ""), Status.UNKNOWN),
            enabled=ENABLED.get(self._file_state(service, unit.get("UnitFileState", ""))),
            ends=unit.get("Type") == "oneshot",
        )

    def do(self, verb: str, service: str) -> None:
        """Start, stop, restart, enable or disable it. Raises Fail."""
        change(*SYSTEMCTL, verb, "--", service)

    def _file_state(self, service: str, state: str) -> str:
        """The state of the unit's file; of one made from an init script, that of the script."""
        if state != "generated":
            return state
        return run(*SYSTEMCTL, "is-enabled", "--", service).output.strip().rpartition("\n")[2]

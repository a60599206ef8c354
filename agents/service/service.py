"""service: start, stop and look at services, with systemd or init scripts."""

from pathlib import Path

from service_standing import Standing, Status
from service_systemd import Systemd
from service_sysv import Sysv

from fleetjobs.agent import Agent, action, main

BOOTED = Path("/run/systemd/system")  #: is there while systemd runs the machine, sd_booted(3)


class Service(Agent):
    """Actions on the node's services; each replies how the service stands afterwards."""

    @action
    def status(self, name: str) -> None:
        """Reply how it stands."""
        self._look(name)

    @action
    def start(self, name: str) -> None:
        """Start it unless it runs."""
        if self._look(name).status not in (Status.RUNNING, Status.STARTING):
            self._expect_running(name, self._do(name, "start"))

    @action
    def stop(self, name: str) -> None:
        """Stop it if it runs."""
        if self._look(name).status not in (Status.STOPPED, Status.FAILED):
            now = self._do(name, "stop").status
            if now is Status.RUNNING:
                self.fail(f"{name} was stopped and still runs")

    @action
    def restart(self, name: str) -> None:
        """Stop it if it runs, and start it."""
        self._look(name)
        self._expect_running(name, self._do(name, "restart"))
        self.reply["changed"] = True

    @action
    def enable(self, name: str) -> None:
        """Have it start with the machine."""
        if self._look(name).enabled is not True and self._do(name, "enable").enabled is False:
            self.fail(f"{name} was enabled and is not")

    @action
    def disable(self, name: str) -> None:
        """Have it no longer start with the machine."""
        if self._look(name).enabled is not False and self._do(name, "disable").enabled:
            self.fail(f"{name} was disabled and is not")

    def _do(self, name: str, verb: str) -> Standing:
        """Do it, and see what came of it."""
        before = self._look(name)
        try:
            self._services().do(verb, name)
        finally:
            after = self._look(name)
            self.reply["changed"] = after != before
        return after

    def _look(self, name: str) -> Standing:
        """How the service stands, and into the reply with it."""
        services = self._services()
        standing = services.look(name)
        self.reply.update(
            name=name,
            status=standing.status,
            enabled=standing.enabled,
            provider=services.name,
        )
        return standing

    def _services(self) -> Systemd | Sysv:
        return Systemd() if BOOTED.is_dir() else Sysv()

    def _expect_running(self, name: str, standing: Standing) -> None:
        if standing.status in (Status.STOPPED, Status.FAILED) and not standing.ends:
            self.fail(f"{name} was started and is {standing.status}")


if __name__ == "__main__":
    main()

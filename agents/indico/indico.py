"""indico: tasks written for Indico's scheduler, by the name of their class."""

import logging
import os
import sys

from fleetjobs.agent import ABORTED, INVALID_DATA, Agent, Delay, action, main
from fleetjobs.compat.tasks import BaseTask, ConfigError, TaskDelayed, revive

ALLOWED = "FLEETJOBS_INDICO_MODULES"  #: beside ours, modules of tasks, separated by colons
OURS = "fleetjobs.compat.tasks"


class Indico(Agent):
    """Runs tasks of the modules that the node's owner allows."""

    @action("run")
    def run_task(self, task: str, values: dict[str, object] | None = None) -> None:
        """Make the task anew and have it run."""
        allowed = {OURS, *filter(None, os.environ.get(ALLOWED, "").split(":"))}
        module = task.partition(":")[0]
        if module not in allowed:
            self.fail(f"{module} is not allowed here; see {ALLOWED}", ABORTED)
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
        try:
            found = revive(task, values or {})
        except (ConfigError, ImportError) as error:
            self.fail(f"{task}: {error}", INVALID_DATA)
        self._run(found)

    def _run(self, task: BaseTask) -> None:
        try:
            task.run()
        except TaskDelayed as delayed:
            raise Delay(delayed.delay_seconds) from None


if __name__ == "__main__":
    main()

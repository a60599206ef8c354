"""puppet: run Puppet, see how it stands, and read what its last run did."""

import time
from pathlib import Path
from typing import Any

from puppet_runs import Outcome, ask, change
from puppet_state import State, count_resources, read_summary

from fleetjobs.agent import Agent, action, main

AT_ONCE = ("--test",)
IN_ITS_OWN_TIME = (  # --test, but for its --no-splay
    *("--onetime", "--no-daemonize", "--verbose", "--show_diff"),
    *("--no-usecacheonfailure", "--detailed-exitcodes", "--splay"),
)


class Puppet(Agent):
    """Actions on the Puppet of a node; the output of a run is the log of the run."""

    @action
    def runonce(
        self,
        *,
        forcerun: bool = True,
        noop: bool = False,
        tags: str = "",
        environment: str = "",
        server: str = "",
    ) -> None:
        """Ask the Puppet server for a catalog and apply it."""
        self._run(
            "agent",
            *(AT_ONCE if forcerun else IN_ITS_OWN_TIME),
            *_options(noop=noop, tags=tags, environment=environment, server=server),
        )

    @action
    def apply(
        self, manifest: str, *, noop: bool = False, tags: str = "", environment: str = ""
    ) -> None:
        """Apply a manifest that lies on the node; no server is asked."""
        if not Path(manifest).exists():
            self.fail(f"there is no {manifest} on this node")
        options = _options(noop=noop, tags=tags, environment=environment)
        self._run("apply", "--detailed-exitcodes", "--verbose", "--show_diff", *options, manifest)

    @action
    def status(self) -> None:
        """Reply whether it is enabled, at work, and when it last was."""
        self._look()

    @action
    def enable(self) -> None:
        """Let it run again."""
        before = self._look()
        if not before["enabled"]:
            ask("agent", "--enable")
        self.reply["changed"] = self._look() != before

    @action
    def disable(self, message: str = "disabled by fleetjobs") -> None:
        """Have it run no more until it is enabled; one that is disabled keeps its reason."""
        before = self._look()
        if before["enabled"]:
            ask("agent", "--disable", message)
        self.reply["changed"] = self._look() != before

    @action
    def last_run_summary(self) -> None:
        """Reply what its last run did, and how long that took."""
        summary = read_summary(State.find().summary)
        if not summary:
            self.fail("Puppet has not run here yet")
        times = summary.get("time", {})
        lastrun = int(times.get("last_run", 0))
        self.reply.update(
            count_resources(summary),
            lastrun=lastrun,
            since_lastrun=max(int(time.time()) - lastrun, 0),
            total_time=round(float(times.get("total", 0)), 2),
            config_version=str(summary.get("version", {}).get("config", "")),
            summary=summary,
        )

    def _run(self, *argv: str) -> None:
        """Run it to its end; whatever ends well is a success, with changes or without."""
        run = change(*argv, "--color=false")
        self.reply.update(
            exit_code=run.exit_code, outcome=run.outcome, changed=run.outcome.has_changed
        )
        if run.outcome not in (Outcome.UNCHANGED, Outcome.CHANGED):
            self.fail(f"puppet {argv[0]} ended with {run.exit_code}, {run.outcome}: {run.words}")

    def _look(self) -> dict[str, Any]:
        """How it stands, and into the reply with it."""
        standing = State.find().look()
        self.reply.update(standing)
        return standing


def _options(*, noop: bool, **values: str) -> list[str]:
    """One word each, so that no value can be taken for an option."""
    return [
        *(["--noop"] if noop else []),
        *(f"--{name}={value}" for name, value in values.items() if value),
    ]


if __name__ == "__main__":
    main()

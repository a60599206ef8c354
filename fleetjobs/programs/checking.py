"""Checking: everything about an agent that a node, or somebody who asks, would stumble over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetjobs.cli.screen import Screen, clean, line
from fleetjobs.errors import Fault
from fleetjobs.node.activation import Activator
from fleetjobs.programs.cases import Outcome, case_files, try_case
from fleetjobs.programs.trial import Trial, problem_of, trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of checking one agent."""

    directory: Path
    version: str = ""
    actions: tuple[str, ...] = ()
    program: str = ""  # what a node would start
    inactive: str = ""  # why it does not want to be on this machine
    problem: str = ""  # why a node would refuse it; lines after the first say what to do
    cases: tuple[Outcome, ...] = field(default=())

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.problem and not any(case.problems for case in self.cases)

    def document(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "agent": self.directory.name,
            "path": str(self.directory),
            "ok": self.is_good,
            "version": self.version or None,
            "actions": list(self.actions),
            "program": self.program or None,
            "problem": self.problem or None,
            "inactive": self.inactive or None,
            "cases": [
                {"name": case.name, "ok": not case.problems, "problems": case.problems}
                for case in self.cases
            ],
        }


def check_agent(directory: Path, on_case: Callable[[Outcome], object] = lambda _: None) -> Finding:
    """Read the agent as a node would, then act out all its cases."""
    try:
        with trial(directory) as tried:
            agent = tried.agent
            inactive = _ask(tried) if agent.is_asked else ""
            cases = []
            for path in case_files(directory):
                cases.append(try_case(tried, path))
                on_case(cases[-1])
            program = agent.program or agent.module
            return Finding(
                directory=directory,
                version=agent.interface.version,
                actions=tuple(agent.interface.actions),
                program=program.name if program else "",
                inactive=inactive,
                cases=tuple(cases),
            )
    except Fault as fault:
        return Finding(directory=directory, problem=problem_of(fault, directory))


def _ask(tried: Trial) -> str:
    """Why the agent does not want to be here; nothing if it does."""
    asking = Activator(
        registry=tried.registry, plugin_d=tried.workplace.plugin_d, on_change=lambda: None
    )
    return asking.ask(tried.agent)


def write_finding(screen: Screen, finding: Finding) -> None:
    """The finding for people."""
    screen.write(f"{screen.paint(finding.directory.name, 'bold')}  {line(finding.directory)}")
    if finding.problem:
        _bad(screen, "refused", finding.problem)
        return
    actions = ", ".join(finding.actions) or "no actions"
    _good(screen, "interface", f"version {finding.version}: {actions}")
    _good(screen, "program", finding.program)
    if finding.inactive:  # here; it may well want to be elsewhere
        screen.write(f"   {screen.paint('not here', 'yellow')}  {line(finding.inactive)}")
    for case in finding.cases:
        if case.problems:
            _bad(screen, f"case {case.name}", "\n".join(case.problems))
        else:
            _good(screen, f"case {case.name}", "")
    if not finding.cases:
        remark = "none in cases/; with some, you would notice when it breaks"
        screen.write(f"   {screen.paint('cases', 'yellow')}  {remark}")


def write_summary(screen: Screen, findings: Sequence[Finding]) -> None:
    """One line for all of them."""
    cases = [case for finding in findings for case in finding.cases]
    bad = sum(not finding.is_good for finding in findings)
    failed = sum(bool(case.problems) for case in cases)
    agents = f"{len(findings)} {'agent' if len(findings) == 1 else 'agents'}"
    total = f"{agents}, {len(cases)} {'case' if len(cases) == 1 else 'cases'}"
    if bad:
        more = f", {failed} {'case' if failed == 1 else 'cases'} failed" if failed else ""
        screen.write(screen.paint(f"{total}: {bad} not good{more}", "red"))
    else:
        screen.write(screen.paint(f"{total}: all is well", "green"))


def _good(screen: Screen, what: str, text: str) -> None:
    screen.write(f"   {screen.paint('ok', 'green')}  {line(what)}  {line(text)}".rstrip())


def _bad(screen: Screen, what: str, text: str) -> None:
    screen.write(f"   {screen.paint('NO', 'red')}  {line(what)}")
    for part in clean(text).splitlines():
        screen.write(f"         {part}")

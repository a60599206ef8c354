"""Nightly: the seeds, and when each of them runs.

Whoever changes a text or a time gives its seed the next version: installations that have not
changed it themselves take it over with their next `fj server init`.
"""

from dataclasses import dataclass
from importlib.resources import files

from fleetjobs.schedules.documents import Misfire, Overlap, Schedule, TemplateCall, Work
from fleetjobs.schedules.rules import Rule

MAINTENANCE = "maintenance"  #: the account in whose name they run
SUFFIX = "-default"  #: of the labels of their schedules
GRACE_S = 6 * 3600.0  #: a night's work may also be done in the morning


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One of them."""

    label: str
    version: int = 1
    text: str
    cron: str  # in UTC

    @property
    def schedule(self) -> Schedule:
        """When it runs, with the defaults of its parameters."""
        return Schedule(
            label=self.label + SUFFIX,
            work=Work(template=TemplateCall(name=self.label)),
            rule=Rule(cron=self.cron),
            description=f"runs the template {self.label}",
            misfire=Misfire.RUN_ONCE,
            misfire_grace_s=GRACE_S,
            overlap=Overlap.SKIP,
        )


def _seed(label: str, cron: str, version: int = 1) -> Seed:
    """The seed whose text lies beside this, in a file of its label."""
    text = (files("fleetjobs.seeds") / f"{label}.yaml").read_text("utf-8")
    return Seed(label=label, version=version, text=text, cron=cron)


SEEDS = (
    _seed("prune-history", cron="10 1 * * *"),
    _seed("prune-logs", cron="20 1 * * *"),
    _seed("vacuum", cron="30 1 * * SUN"),
    _seed("node-report", cron="0 2 * * *", version=2),
    _seed("attention-digest", cron="10 2 * * *", version=2),
    _seed("check-expiry", cron="20 2 * * *"),
    _seed("check-disk", cron="30 2 * * *"),
    _seed("check-clock", cron="40 2 * * *"),
    _seed("check-spool", cron="50 2 * * *"),
    _seed("check-updates", cron="0 3 * * *"),
)

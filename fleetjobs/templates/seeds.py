"""Seeds: templates that every installation has from the beginning, and when each of them runs.

Whoever changes a text or a time gives its seed the next version: installations that have not
changed it themselves take it over with their next `fj server init`.
"""

from dataclasses import dataclass

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


SEEDS = (
    Seed(
        label="prune-history",
        cron="10 1 * * *",
        text="""\
name: prune-history
description: Forget jobs that ended long ago; what waits for a person, or is needed, stays
params:
  days: {type: number, default: 365, description: how long after their end}
  dry_run: {type: boolean, default: false, description: only list what would go}
action: fleet.prune
data: {days: "${params.days}", dry_run: "${params.dry_run}"}
target: {identities: "@controller"}
""",
    ),
    Seed(
        label="prune-logs",
        cron="20 1 * * *",
        text="""\
name: prune-logs
description: Forget what jobs wrote that ended long ago; the jobs stay
params:
  days: {type: number, default: 30, description: how long after their end}
  dry_run: {type: boolean, default: false, description: only list what would go}
action: fleet.prune_logs
data: {days: "${params.days}", dry_run: "${params.dry_run}"}
target: {identities: "@controller"}
""",
    ),
    Seed(
        label="vacuum",
        cron="30 1 * * SUN",
        text="""\
name: vacuum
description: Have the database tidy up
params:
  full: {type: boolean, default: false, description: write its files anew; others wait meanwhile}
action: fleet.vacuum
data: {full: "${params.full}"}
target: {identities: "@controller"}
""",
    ),
    Seed(
        label="node-report",
        cron="0 2 * * *",
        text="""\
name: node-report
description: How many nodes live, which are silent, and what became of the last jobs
params:
  hours: {type: number, default: 24, description: of jobs that are counted}
action: fleet.report
data: {hours: "${params.hours}"}
target: {identities: "@controller"}
""",
    ),
    Seed(
        label="attention-digest",
        cron="10 2 * * *",
        text="""\
name: attention-digest
description: Which runs wait for a person to decide
action: fleet.attention
target: {identities: "@controller"}
""",
    ),
    Seed(
        label="check-expiry",
        cron="20 2 * * *",
        text="""\
name: check-expiry
description: Fail if a token or a certificate expires soon
params:
  days: {type: number, default: 14, description: from now}
  files: {type: array, default: [/etc/fleetjobs/tls/*.pem], description: of certificates}
action: fleet.expiry
data: {days: "${params.days}", files: "${params.files}"}
target: {identities: "@controller"}
""",
    ),
    Seed(
        label="check-disk",
        cron="30 2 * * *",
        text="""\
name: check-disk
description: Fail on nodes whose file systems are nearly full
params:
  paths: {type: array, default: [/], description: places on them}
  max_percent: {type: number, default: 90, description: that may be in use}
action: system.disk
data: {paths: "${params.paths}", max_percent: "${params.max_percent}"}
""",
    ),
    Seed(
        label="check-clock",
        cron="40 2 * * *",
        text="""\
name: check-clock
description: What nodes know of their clocks; strict, fail where nothing keeps them right
params:
  strict: {type: boolean, default: false, description: fail without NTP}
action: system.clock
data: {strict: "${params.strict}"}
""",
    ),
    Seed(
        label="check-spool",
        cron="50 2 * * *",
        text="""\
name: check-spool
description: Fail on nodes where many replies wait for the broker
params:
  max_outbox: {type: integer, default: 1000, description: that may wait}
action: system.spool
data: {max_outbox: "${params.max_outbox}"}
""",
    ),
    Seed(
        label="check-updates",
        cron="0 3 * * *",
        text="""\
name: check-updates
description: Which packages of the nodes could be updated
action: package.checkupdates
""",
    ),
)

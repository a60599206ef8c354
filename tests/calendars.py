"""Calendars: schedules drawn at random, and a calculator that knows what must come of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from sqlalchemy import select

from fleetjobs.access import Role
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.occurrences import job_of
from fleetjobs.control.schedules import Schedules
from fleetjobs.schedules.documents import Call, Misfire, Overlap, Schedule, Work
from fleetjobs.schedules.due import Fate
from fleetjobs.schedules.rules import Rule
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.database import Database
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.schedules import occurrences
from fleetjobs.targets import Target
from tests.makers import ORG, Clock, add_org, enroll
from tests.slow_recurrence import ZONES, by_dateutil, random_cron

OWNER = "ann"
NODES = ("web1", "web2")
HOURS = ("0,1,2", "1,2,3", "2,3", "2", "4,16", "0,6,12,18")  #: most of them where clocks are set


@dataclass(frozen=True, slots=True)
class Drawn:
    """A schedule, and its rule for the calculator; None: an interval."""

    id: str
    rule: Rule
    plain: str | None


def draw(database: Database, seed: int, count: int, at: datetime) -> list[Drawn]:
    """So many schedules, made at that moment, in a database that has nodes for them."""
    add_org(database)
    enroll(database, *NODES)
    with database.transaction() as connection:
        ann = Account(name=OWNER, org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, ann, now=at)
    chance = Random(seed)  # noqa: S311  a test's
    desk = Schedules(database, Clock(at), Acceptance())
    return [_draw_one(desk, chance, number) for number in range(count)]


def _draw_one(desk: Schedules, chance: Random, number: int) -> Drawn:
    rule, plain = _draw_rule(chance)
    call = Call(
        agent="demo",
        action="echo",
        data={"text": "tick"},
        target=Target(identities=(chance.choice(NODES),)),
    )
    schedule = Schedule(
        label=f"s{number}",
        work=Work(call=call),
        rule=rule,
        overlap=chance.choice(list(Overlap)),
        misfire=chance.choice(list(Misfire)),
        misfire_grace_s=chance.choice([0.0, 900.0, 7200.0]),
        jitter_s=chance.choice([0.0, 0.0, 600.0]),
    )
    entry = desk.create(schedule, org=ORG, account=OWNER)
    return Drawn(entry.id, rule, plain)


def _draw_rule(chance: Random) -> tuple[Rule, str | None]:
    zone = chance.choice(ZONES)
    match chance.randrange(3):
        case 0:
            return Rule(every_s=chance.randint(20, 400) * 60.0), None
        case 1:
            text, plain = random_cron(chance)
            return Rule(cron=text, zone=zone), plain
        case _:
            minutes = chance.choice(["0", "30", "15,45"])
            plain = f"FREQ=DAILY;BYHOUR={chance.choice(HOURS)};BYMINUTE={minutes}"
            return Rule(rrule=plain, zone=zone), plain


def calculate(drawn: Drawn, begin: datetime, end: datetime) -> set[datetime]:
    """The moments later than `begin`, when it was made, until `end`; independently of ours."""
    if drawn.plain is None:
        step = timedelta(seconds=drawn.rule.every_s or 0)
        return {begin + number * step for number in range(1, (end - begin) // step + 1)}
    found = by_dateutil(drawn.plain, ZoneInfo(drawn.rule.zone), begin, end)
    return {moment for moment in found if begin < moment}


def complaints(
    database: Database, everything: Sequence[Drawn], begin: datetime, end: datetime
) -> list[str]:
    """What is not as the calculator has it: each moment has one fate, and one job if it ran."""
    wrong: list[str] = []
    with database.reading() as connection:
        for drawn in everything:
            rows = connection.execute(
                select(occurrences.c.at, occurrences.c.fate, occurrences.c.job).where(
                    occurrences.c.schedule == drawn.id
                )
            ).all()
            made = connection.execute(select(jobs.c.id).where(jobs.c.schedule == drawn.id))
            ran = {row.at: row.job for row in rows if row.fate == Fate.RAN}
            wrong += _compare(
                drawn,
                calculate(drawn, begin, end),
                Counter(row.at for row in rows),
                ran,
                set(made.scalars()),
            )
    return wrong


def _compare(
    drawn: Drawn,
    expected: set[datetime],
    found: Counter[datetime],
    ran: dict[datetime, str],
    made: set[str],
) -> list[str]:
    wrong = []
    if lost := expected - found.keys():
        wrong.append(f"{drawn}: {len(lost)} moments without a fate, such as {min(lost)}")
    if invented := found.keys() - expected:
        wrong.append(f"{drawn}: {len(invented)} moments that never were, such as {min(invented)}")
    if any(job != job_of(drawn.id, at) for at, job in ran.items()):
        wrong.append(f"{drawn}: a job that is not its occurrence's")
    if missing := set(ran.values()) - made:
        wrong.append(f"{drawn}: {len(missing)} occurrences ran as jobs that are not there")
    if strange := made - {job_of(drawn.id, at) for at in expected}:
        wrong.append(f"{drawn}: {len(strange)} jobs of no occurrence")
    return wrong

"""Sowing: what an installation has from the beginning; what people did with it stays."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.access import Role
from fleetjobs.control.authoring import Author, note_change, put_new, put_next
from fleetjobs.control.occurrences import next_of
from fleetjobs.errors import Conflict, InvalidSetting
from fleetjobs.seeds.nightly import MAINTENANCE, SEEDS, Seed
from fleetjobs.store.access import Account, create_account, org_of_account
from fleetjobs.store.bells import SCHEDULES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.schedules import Entry, builtin_entries, insert_entry, save_entry
from fleetjobs.store.templates import Template, find_template, lock_templates
from fleetjobs.templates.reading import read_template

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sowing:
    """Each a transaction; again it changes nothing. Raises DatabaseAway."""

    database: Database
    now: datetime

    def sow(self, org: str, seeds: Sequence[Seed] = SEEDS) -> int:
        """Have the templates and their schedules; how many were made or brought up to date.

        What was edited stays as it is, what was disabled stays disabled, what was deleted stays
        deleted, and a schedule that has a label before one of them has it keeps it.
        Raises Conflict if another org has the account.
        """
        author = Author(org=org, account=MAINTENANCE, of_fleet=True)
        with self.database.transaction() as connection:
            self._have_account(connection, org)
            there = {entry.label: entry for entry in builtin_entries(connection)}
            made = self._sow_templates(connection, seeds, author)
            done = len(made)
            for seed in seeds:
                done += self._sow_schedule(connection, seed, org, there.get(seed.schedule.label))
            if done:
                ring(connection, SCHEDULES)
            for kind, template in made:
                note_change(connection, template, kind, author, self.now)
        return done

    def _have_account(self, connection: Connection, org: str) -> None:
        theirs = org_of_account(connection, MAINTENANCE)
        if theirs is None:
            account = Account(name=MAINTENANCE, org=org, role=Role.OPERATOR, verify_key=None)
            create_account(connection, account, now=self.now)
        elif theirs != org and not builtin_entries(connection):
            raise Conflict(f"the account {MAINTENANCE} belongs to {theirs}; give it another name")

    def _sow_templates(
        self, connection: Connection, seeds: Sequence[Seed], author: Author
    ) -> list[tuple[str, Template]]:
        """What became of which, to be noted."""
        there = [_of_fleet(connection, seed) for seed in seeds]
        lock_templates(connection, {found.id for found in there if found is not None})
        made: list[tuple[str, Template]] = []
        for seed in sorted(seeds, key=lambda seed: seed.label):
            written = read_template(seed.text, seed.label, seed.label)
            found, now = _of_fleet(connection, seed), self.now
            if found is None:
                new = put_new(
                    connection, written, author, is_fleet=True, now=now, seed=seed.version
                )
                made.append(("template.created", new))
            elif found.ended_at is None and found.seed is not None and found.seed < seed.version:
                changed = put_next(connection, found, written, author, now=now, seed=seed.version)
                made.append(("template.changed", changed))
        return made

    def _sow_schedule(
        self, connection: Connection, seed: Seed, org: str, found: Entry | None
    ) -> int:
        schedule = seed.schedule
        shown = msgspec.to_builtins(schedule)
        if found is None:
            entry = Entry(
                id=str(uuid7()),
                org=org,
                label=schedule.label,
                owner=MAINTENANCE,
                document=schedule,
                shown=shown,
                anchor=self.now,
                seen_at=self.now,
                next_at=None,
                builtin=True,
                seed=seed.version,
                created_at=self.now,
            )
            try:
                insert_entry(connection, dataclasses.replace(entry, next_at=next_of(entry)))
            except Conflict:
                logger.warning("%s: there is another schedule %s, which stays", org, entry.label)
                return 0
            return 1
        if found.ended_at is not None or found.seed is None or found.seed >= seed.version:
            return 0
        enabled = found.document.enabled
        schedule = msgspec.structs.replace(schedule, enabled=enabled)
        entry = dataclasses.replace(
            found,
            document=schedule,
            shown=shown | {"enabled": enabled},
            seed=seed.version,
            version=found.version + 1,
        )
        save_entry(connection, dataclasses.replace(entry, next_at=next_of(entry)))
        return 1

    def bar(self, labels: Sequence[str]) -> None:
        """Let nothing come of these builtin schedules, and let the others go on again.

        Raises InvalidSetting for a label that none of them has.
        """
        with self.database.transaction() as connection:
            entries = [one for one in builtin_entries(connection) if one.ended_at is None]
            known = {entry.label for entry in entries} | {seed.schedule.label for seed in SEEDS}
            unknown = sorted(set(labels) - known)
            if unknown:
                raise InvalidSetting(
                    f"disabled_schedules: there is no builtin schedule {unknown[0]!r:.140};"
                    f" there are {', '.join(sorted(known))}"
                )
            for entry in entries:
                barred = entry.label in labels
                if barred == entry.barred:
                    continue
                changed = dataclasses.replace(entry, barred=barred, seen_at=self.now)
                save_entry(connection, dataclasses.replace(changed, next_at=next_of(changed)))
                ring(connection, SCHEDULES)


def _of_fleet(connection: Connection, seed: Seed) -> Template | None:
    """The fleet's template of that label, though it be deleted."""
    return find_template(connection, seed.label, org=None, own=True, ended=True)

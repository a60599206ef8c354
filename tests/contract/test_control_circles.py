"""Two at a time never wait for one another in a circle: one waits, and then goes on."""

import contextlib
import dataclasses
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import text

from fleetjobs.control import applying, templates
from fleetjobs.control.authoring import Author, note_change, put_new, put_next
from fleetjobs.control.jobs import Control
from fleetjobs.control.sowing import Sowing
from fleetjobs.control.works import AT_ONCE
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict
from fleetjobs.plans.documents import Need, Pace
from fleetjobs.plans.shapes import leg_id
from fleetjobs.requests import After
from fleetjobs.schedules.documents import Call, Schedule, TemplateCall, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.seeds.nightly import SEEDS
from fleetjobs.store.database import Database
from fleetjobs.store.dialect import is_sqlite
from fleetjobs.store.jobs import get_job
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schedules import advance_entries, get_entry
from fleetjobs.store.templates import find_template, list_templates
from fleetjobs.targets import Target
from fleetjobs.templates.documents import Duplicates, File, Files
from fleetjobs.templates.reading import Written, read_template
from tests.desk import KEY, WHO
from tests.makers import NOW, ORG, Clock, enroll, make_request, new_id
from tests.plans import PlanDesk, make_leg
from tests.workbench import wait_for

BOB = Author(org=ORG, account="bob")
RULER = Author(org=ORG, account="ruth", of_fleet=True)


@pytest.fixture
def control(database: Database) -> Control:
    return Control(database, Clock())


def written(label: str, said: str) -> Written:
    source = f"name: {label}\naction: demo.echo\ndata: {{text: {said}}}\n"
    return read_template(source, label, label)


def files(*labels: str, said: str, **changes: Any) -> Files:
    """Templates of these labels that say that."""
    many = [File(name=one, text=written(one, said).text) for one in labels]
    return Files(files=tuple(many), **changes)


def is_waited(database: Database) -> bool:
    """Whether anybody waits for a lock; SQLite does not tell, and lets one in at a time."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    query = text(f"{waiting} AND datname = current_database()")
    with database.reading() as connection:
        return is_sqlite(connection) or bool(connection.execute(query).scalar_one())


def come_between(database: Database, deed: Callable[[], object], done: Future[Any]) -> None:
    """Do it once what is done elsewhere has come to wait for us."""
    wait_for(lambda: done.done() or is_waited(database))
    deed()


def texts(control: Control) -> dict[str, int]:
    """The newest version of each template."""
    with control.database.reading() as connection:
        found = list_templates(connection, org=ORG, limit=100).items
    return {one.label: one.version for one in found}


@pytest.mark.parametrize("duplicates", [Duplicates.UPDATE, Duplicates.CREATE])
def test_templates_are_applied_while_one_of_them_is_edited(
    control: Control, duplicates: Duplicates
) -> None:
    """Whoever edits one has that to itself, and then writes into the audit."""
    control.applying.apply(files("a", "b", said="one"), BOB)
    both = files("a", "b", said="two", duplicates=duplicates)
    with ThreadPoolExecutor(1) as pool, control.database.transaction() as connection:
        found = find_template(connection, "b", org=ORG, own=True, lock=True)
        assert found is not None
        elsewhere = pool.submit(control.applying.apply, both, BOB)
        changed = put_next(connection, found, written("b", "edited"), BOB, now=NOW)
        come_between(
            control.database,
            lambda: note_change(connection, changed, "template.changed", BOB, NOW),
            elsewhere,
        )
        connection.commit()
        changes = [one.change for one in elsewhere.result()]

    made = duplicates is Duplicates.CREATE
    assert changes == (["created"] * 2 if made else ["updated"] * 2)
    assert texts(control)["b"] == (2 if made else 3)


def test_templates_are_made_while_one_of_their_labels_is_taken(control: Control) -> None:
    both = files("a", "b", said="one")
    with ThreadPoolExecutor(1) as pool, control.database.transaction() as connection:
        made = put_new(connection, written("b", "mine"), BOB, is_fleet=False, now=NOW)
        elsewhere = pool.submit(control.applying.apply, both, BOB)
        come_between(
            control.database,
            lambda: note_change(connection, made, "template.created", BOB, NOW),
            elsewhere,
        )
        connection.commit()
        refused = elsewhere.exception()

    assert "label" in str(refused) or refused is None  # SQLite lets it look afterwards
    assert texts(control)["b"] in {1, 2}


def test_of_two_who_apply_the_same_templates_the_other_way_round_both_are_done(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.applying.apply(files("a", "b", said="one"), BOB)
    both = Barrier(2)

    def put(*about: Any, **more: Any) -> Any:
        with contextlib.suppress(BrokenBarrierError):
            both.wait(0.5)  # the other has one of them, too, or waits until we have ended
        return put_next(*about, **more)

    monkeypatch.setattr(applying, "put_next", put)
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(control.applying.apply, files(*labels, said=said), BOB)
            for labels, said in ((("a", "b"), "two"), (("b", "a"), "three"))
        ]
        assert [one.exception() for one in asked] == [None, None]

    assert texts(control) == {"a": 3, "b": 3}


def test_an_installation_is_brought_up_to_date_while_a_template_of_it_is_edited(
    control: Control,
) -> None:
    Sowing(control.database, NOW).sow(ORG)
    better = [
        dataclasses.replace(
            seed,
            version=seed.version + 1,
            text=seed.text.replace("description: ", "description: x ", 1),
        )
        for seed in SEEDS
    ]
    last = max(seed.label for seed in SEEDS)
    with ThreadPoolExecutor(1) as pool, control.database.transaction() as connection:
        found = find_template(connection, last, org=None, own=True, lock=True)
        assert found is not None
        elsewhere = pool.submit(Sowing(control.database, NOW).sow, ORG, better)
        changed = put_next(connection, found, written(last, "mine"), RULER, now=NOW)
        come_between(
            control.database,
            lambda: note_change(connection, changed, "template.changed", RULER, NOW),
            elsewhere,
        )
        connection.commit()
        done = elsewhere.result()

    assert done == 2 * len(SEEDS) - 1
    assert texts(control)[last] == 2


def test_a_job_is_to_follow_two_legs_while_one_ends_and_frees_the_other(control: Control) -> None:
    """Whatever their ids are."""
    desk = PlanDesk(control, Clock())
    enroll(control.database, "web1")
    for _ in range(3):
        plan = desk.plan(
            make_leg("a", "web1"), make_leg("b", "web1", needs=(Need(leg="a", pace=Pace.BARRIER),))
        )
        legs = [leg_id(plan, key) for key in "ab"]
        wish = make_request(after=tuple(After(job=leg) for leg in legs))
        with ThreadPoolExecutor(1) as pool, control.database.transaction() as connection:
            ledger = Ledger.of_jobs(connection, [max(legs)], NOW)
            elsewhere = pool.submit(desk.hand_in, wish)
            come_between(control.database, lambda: ledger.lock([min(legs)]), elsewhere)  # noqa: B023  called at once
            connection.commit()
            elsewhere.result()


def test_a_job_is_made_to_follow_another_while_that_ends(control: Control) -> None:
    """Whoever ends it looks at what waits for it then."""
    desk = PlanDesk(control, Clock())
    enroll(control.database, "web1")
    first = desk.submit("web1", not_before=NOW + timedelta(hours=5))
    second = desk.submit("web1", not_before=NOW + timedelta(hours=5))
    with ThreadPoolExecutor(1) as pool, control.database.transaction() as connection:
        ledger = Ledger.of_jobs(connection, [first], NOW)
        elsewhere = pool.submit(desk.edit, second, after=(After(job=first),), version=1)
        come_between(control.database, lambda: ledger.lock([second]), elsewhere)
        connection.commit()
        assert elsewhere.result().id == second


@pytest.mark.parametrize("second", ["a", "b"])
def test_of_two_templates_run_under_one_id_at_a_time_there_is_one_job(
    control: Control, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    enroll(control.database, "web1")
    for label in ("a", "b"):
        text = written(label, "hi").text + "target: {identities: web1}\n"
        control.templates.create(text, BOB, label=None, is_fleet=False)
    both, name = Barrier(2), new_id()

    def look(*about: Any, **more: Any) -> Any:
        found = get_job(*about, **more)
        with contextlib.suppress(BrokenBarrierError):
            both.wait(0.5)  # the other has not made it yet, either, or waits until we have ended
        return found

    def run(label: str) -> Any:
        seal = {"seal": lambda asked: KEY.seal(encode(asked)), "id": name}
        return control.templates.run(TemplateCall(name=label), AT_ONCE, **WHO, **seal)

    monkeypatch.setattr(templates, "get_job", look)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(run, label) for label in ("a", second)]
        refused = [one.exception() for one in asked if one.exception() is not None]

    assert [type(error) for error in refused] == ([] if second == "a" else [Conflict])
    created = [one.result().created for one in asked if one.exception() is None]
    assert sorted(created) == ([False, True] if second == "a" else [True])


def test_schedules_are_reinitialized_while_one_of_them_makes_jobs(control: Control) -> None:
    """What others write about it meanwhile stays written."""
    enroll(control.database, "web1")
    web1 = Target(identities=("web1",))
    call = Call(agent="demo", action="echo", data={"text": "hi"}, target=web1)
    wish = Schedule(label="s", work=Work(call=call), rule=Rule(cron="0 4 * * *"))
    made = control.schedules.create(wish, **WHO)
    with ThreadPoolExecutor(1) as pool, control.database.transaction() as connection:
        found = get_entry(connection, made.id, org=ORG, lock=True)
        elsewhere = pool.submit(control.schedules.reinitialize, **WHO)
        seven = [dataclasses.replace(found, made=7)]
        come_between(control.database, lambda: advance_entries(connection, seven), elsewhere)
        connection.commit()
        assert elsewhere.result() == 1

    with control.database.reading() as connection:
        assert get_entry(connection, made.id, org=ORG).made == 7

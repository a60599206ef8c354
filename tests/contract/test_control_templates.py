"""Templates: versions that stay, jobs that remember theirs, and many taken at once."""

from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.access import Role
from fleetjobs.control.authoring import Author
from fleetjobs.control.jobs import Control
from fleetjobs.control.works import AT_ONCE, Start
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.documents import encode
from fleetjobs.errors import (
    Conflict,
    Denied,
    InvalidInput,
    InvalidPlan,
    MissingInput,
    NotFound,
    Outdated,
)
from fleetjobs.jobs import Job, Kind
from fleetjobs.schedules.documents import Overlap, Schedule, TemplateCall, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.states import State
from fleetjobs.store.access import Account, create_account, create_org
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.plans import list_legs
from fleetjobs.store.schedules import get_entry
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.records import events
from fleetjobs.store.schema.templates import template_versions
from fleetjobs.store.templates import Template, find_template, get_version, ids_called
from fleetjobs.targets import Target
from fleetjobs.templates.documents import Duplicates, File, Files, Ids, Level
from tests.desk import KEY
from tests.desk import Desk as OldDesk
from tests.makers import NOW, ORG, Clock, enroll, new_id

BOB = Author(org=ORG, account="bob")
RULER = Author(org=ORG, account="bob", of_fleet=True)
EVE = Author(org="other", account="eve", of_fleet=True)
GREET = """\
name: greet
description: Say something twice
params:
  text: {description: what}
legs:
  - first: {action: demo.echo, data: {text: "${params.text}"}}
  - second: {action: demo.echo, data: {text: "again ${params.text}"}}
"""
ECHO = """\
name: echo
params:
  text: hello
action: demo.echo
data: {text: "${params.text}"}
target: {identities: web1}
"""
LOGIN = """\
name: login
params:
  password: {secret: true}
action: demo.echo
data: {text: hello, password: "${params.password}"}
"""


class Desk(OldDesk):
    """A desk with templates."""

    def create(self, text: str, author: Author = BOB, *, is_fleet: bool = False) -> Template:
        return self.control.templates.create(text, author, label=None, is_fleet=is_fleet)

    def run_it(self, name: str, start: Start = AT_ONCE, **call: Any) -> Job:
        made = self.control.templates.run(
            TemplateCall(name=name, **call),
            start,
            org=ORG,
            account="bob",
            id=call.pop("id", None) or new_id(),
            seal=lambda request: KEY.seal(encode(request)),
        )
        return made.job

    def apply(self, *files: File, author: Author = BOB, **terms: Any) -> list[tuple[str, str]]:
        found = self.control.applying.apply(Files(files=files, **terms), author)
        return [(one.template.label, one.change.value) for one in found]

    def text_of(self, name: str, org: str | None = ORG, version: int | None = None) -> str:
        with self.control.database.reading() as connection:
            template = find_template(connection, name, org=org)
            assert template is not None
            return get_version(connection, template, version).text


@pytest.fixture
def desk(database: Database) -> Desk:
    enroll(database, "web1", "web2")
    with database.transaction() as connection:
        create_org(connection, "other", now=NOW)
        bob = Account(name="bob", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, bob, now=NOW)
    return Desk(Control(database, clock := Clock()), clock)


@pytest.mark.spec("S2-27")
def test_a_template_is_run_once_and_its_job_says_what_it_is(desk: Desk) -> None:
    template = desk.create(GREET)

    plan = desk.run_it("greet", params={"text": "hi"})

    assert (plan.kind, plan.action, plan.schedule) == (Kind.PLAN, "greet", None)
    assert (plan.template, plan.template_version) == (template.id, 1)
    with desk.control.database.reading() as connection:
        legs = list_legs(connection, plan, limit=10).items
        made = list_jobs(connection, JobFilter(org=ORG, top=True), limit=10).items
    assert [leg.data["text"] for leg in legs] == ["hi", "again hi"]
    assert [job.id for job in made] == [plan.id]


def test_a_template_of_a_single_action_is_a_plain_job(desk: Desk) -> None:
    desk.create(ECHO)

    job = desk.run_it("echo")

    assert (job.kind, job.agent, job.action) == (Kind.ACTION, "demo", "echo")
    assert (job.data, job.tally.total()) == ({"text": "hello"}, 1)


def test_it_may_be_run_later_and_elsewhere(desk: Desk) -> None:
    desk.create(ECHO)
    later = NOW + timedelta(hours=1)

    job = desk.run_it("echo", Start(not_before=later), target=Target(identities=("web2",)))

    assert (job.state, job.not_before) == (State.SCHEDULED, later)
    assert [run.node for run in desk.runs(job.id)] == ["web2"]


def test_the_same_id_again_is_the_same_job(desk: Desk) -> None:
    template = desk.create(ECHO)
    desk.create(GREET)
    name = new_id()

    def ask(label: str) -> tuple[str, bool]:
        made = desk.control.templates.run(
            TemplateCall(name=label, params={"text": "x"}),
            AT_ONCE,
            org=ORG,
            account="bob",
            id=name,
            seal=lambda request: KEY.seal(encode(request)),
        )
        return made.job.id, made.created

    assert [ask("echo"), ask("echo"), ask(template.id)] == [
        (name, True),
        (name, False),
        (name, False),
    ]
    with pytest.raises(Conflict, match="for something else"):
        ask("greet")


def test_an_edit_makes_a_version_and_jobs_keep_theirs(desk: Desk) -> None:
    template = desk.create(ECHO)
    first = desk.run_it("echo")

    changed = desk.control.templates.change("echo", ECHO.replace("hello", "goodbye"), BOB)
    same = desk.control.templates.change("echo", ECHO.replace("hello", "goodbye"), BOB, version=2)

    assert (changed.version, same.version) == (2, 2)
    assert desk.run_it("echo").data == {"text": "goodbye"}
    old = desk.run_it("echo", version=1)
    assert (old.data, old.template_version) == ({"text": "hello"}, 1)
    assert (desk.job(first.id).template, desk.job(first.id).template_version) == (template.id, 1)
    assert desk.text_of("echo", version=1) == ECHO
    with pytest.raises(Outdated):
        desk.control.templates.change("echo", ECHO, BOB, version=1)
    with pytest.raises(NotFound, match="no version 3"):
        desk.run_it("echo", version=3)


def test_a_deleted_template_is_run_no_more_and_its_label_is_free(desk: Desk) -> None:
    gone = desk.create(ECHO)
    desk.control.templates.delete("echo", BOB)

    with pytest.raises(NotFound, match="there is no template"):
        desk.run_it("echo")
    with pytest.raises(NotFound, match="was deleted"):
        desk.run_it(gone.id)
    assert desk.create(ECHO).id != gone.id
    with pytest.raises(Conflict, match="already"):
        desk.create(ECHO)


@pytest.mark.spec("S2-08")
@pytest.mark.parametrize(
    ("params", "error", "field"),
    [
        ({}, MissingInput, "params.text"),
        ({"text": 1}, InvalidInput, "params.text"),
        ({"txt": "x", "text": "x"}, InvalidInput, "params.txt"),
    ],
)
def test_a_wrong_parameter_is_named(
    desk: Desk, params: dict[str, Any], error: type[InvalidInput], field: str
) -> None:
    desk.create(GREET)

    with pytest.raises(error) as refused:
        desk.run_it("greet", params=params)

    assert refused.value.field == field


def test_the_fleets_are_everybodys_and_an_orgs_own_goes_first(desk: Desk) -> None:
    desk.create(ECHO, RULER, is_fleet=True)
    assert desk.run_it("echo").data == {"text": "hello"}

    desk.create(ECHO.replace("hello", "ours"))

    assert desk.run_it("echo").data == {"text": "ours"}
    assert desk.text_of("echo", org="other") == ECHO
    with pytest.raises(Denied, match="whole fleet"):
        desk.create(GREET, is_fleet=True)


@pytest.mark.spec("S2-10")
def test_another_orgs_templates_do_not_exist(desk: Desk) -> None:
    template = desk.create(ECHO)

    for name in ("echo", template.id):
        with pytest.raises(NotFound):
            desk.control.templates.delete(name, EVE)
        with pytest.raises(NotFound):
            desk.control.templates.change(name, GREET, EVE)


def test_a_secret_is_shown_nowhere(desk: Desk, database: Database) -> None:
    desk.create(LOGIN)
    job = desk.run_it("login", params={"password": "hunter2"})

    assert job.data == {"text": "hello", "password": "***"}
    with database.reading() as connection:
        shown = [
            dict(row) | {"sealed": None}
            for table in (jobs, events, template_versions)
            for row in connection.execute(table.select()).mappings()
        ]
    assert shown
    assert "hunter2" not in repr(shown)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (("text: hello", 'text: "${params.password}"'), "does not declare secret"),
        (("action: demo", 'target: {classes: "${params.password}"}\naction: demo'), "in the data"),
    ],
)
def test_a_secret_goes_only_where_it_is_kept(desk: Desk, changes: Any, why: str) -> None:
    desk.create(LOGIN.replace(*changes))

    with pytest.raises(InvalidPlan, match=why):
        desk.run_it("login", params={"password": "hunter2"})


@pytest.mark.spec("S2-14")
def test_two_legs_with_the_same_ordering_are_refused(desk: Desk) -> None:
    text = """\
name: ordered
legs:
  - last: {action: demo.echo, data: {text: c}, ordering: 3}
  - first: {action: demo.echo, data: {text: a}, ordering: 1}
  - middle: {action: demo.echo, data: {text: b}, ordering: 2}
"""
    desk.create(text)
    plan = desk.run_it("ordered")
    with desk.control.database.reading() as connection:
        legs = list_legs(connection, plan, limit=10).items
    assert [leg.leg for leg in legs] == ["first", "middle", "last"]

    with pytest.raises(InvalidPlan, match=r":4: first has the ordering 3, as last has"):
        desk.create(text.replace("ordering: 1", "ordering: 3"))


def test_files_are_taken_together_and_again_change_nothing(desk: Desk) -> None:
    files = File(name="a/greet.yaml", text=GREET), File(name="echo.yaml", text=ECHO)

    assert desk.apply(*files, dry_run=True) == [("greet", "created"), ("echo", "created")]
    with pytest.raises(NotFound):
        desk.run_it("echo")

    assert desk.apply(*files) == [("greet", "created"), ("echo", "created")]
    assert desk.apply(*files) == [("greet", "unchanged"), ("echo", "unchanged")]
    changed = files[0], File(name="echo.yaml", text=ECHO.replace("hello", "hey"))
    assert desk.apply(*changed) == [("greet", "unchanged"), ("echo", "updated")]
    assert desk.run_it("echo").template_version == 2


def test_one_wrong_file_keeps_all_out_and_is_named_with_its_line(desk: Desk) -> None:
    wrong = File(name="b.yaml", text=ECHO.replace("hello", "{type: nothing}"))

    with pytest.raises(InvalidPlan, match=r"b.yaml:3: parameter text: .*nothing"):
        desk.apply(File(name="a.yaml", text=GREET), wrong)
    with pytest.raises(NotFound):
        desk.run_it("greet", params={"text": "x"})


def test_what_is_there_already_is_updated_left_or_stands_beside(desk: Desk) -> None:
    desk.create(ECHO)
    file = File(name="echo.yaml", text=ECHO.replace("hello", "hey"))

    assert desk.apply(file, duplicates=Duplicates.SKIP) == [("echo", "skipped")]
    assert desk.apply(file, duplicates=Duplicates.CREATE) == [("echo-2", "created")]
    assert desk.apply(file, duplicates=Duplicates.CREATE) == [("echo-3", "created")]
    assert desk.text_of("echo") == ECHO
    assert desk.run_it("echo-2").data == {"text": "hey"}


def test_ids_are_kept_or_made_anew(desk: Desk) -> None:
    name = str(new_id())
    file = File(name="echo.yaml", text=ECHO, id=name)

    desk.apply(file, ids=Ids.KEEP)
    assert desk.run_it(name).template == name
    renamed = File(name="x", label="other", text=ECHO.replace("hello", "hey"), id=name)
    assert desk.apply(renamed, ids=Ids.KEEP) == [("echo", "updated")]
    assert desk.apply(renamed) == [("other", "created")]
    with pytest.raises(Conflict, match="strip the ids"):
        desk.apply(file, ids=Ids.KEEP, level=Level.FLEET, author=RULER)


@pytest.mark.spec("S2-26")
def test_jobs_are_found_by_their_template(desk: Desk) -> None:
    desk.create(ECHO)
    ours = [desk.run_it("echo").id for _ in range(3)]
    desk.submit("web1")

    with desk.control.database.reading() as connection:
        called = ids_called(connection, "echo", org=ORG)
        found = list_jobs(connection, JobFilter(org=ORG, templates=called), limit=2)
        rest = list_jobs(
            connection, JobFilter(org=ORG, templates=called), cursor=found.next, limit=2
        )
        none = list_jobs(connection, JobFilter(org=ORG, templates=[]), limit=2)
    assert [job.id for job in (*found.items, *rest.items)] == sorted(ours, reverse=True)
    assert none.items == []


class TestSchedules:
    """Schedules of templates."""

    def schedule(self, desk: Desk, **call: Any) -> str:
        schedule = Schedule(
            label="s",
            work=Work(template=TemplateCall(**call)),
            rule=Rule(every_s=60),
            overlap=Overlap.ALLOW,
        )
        return desk.control.schedules.create(schedule, org=ORG, account="bob").id

    def pass_time(self, desk: Desk) -> None:
        desk.clock.now += timedelta(minutes=1)
        seal = Scheduler(desk.control.database, desk.clock, lambda r: KEY.seal(encode(r)))
        while seal.step():
            pass

    def made(self, desk: Desk) -> list[Job]:
        with desk.control.database.reading() as connection:
            found = list_jobs(connection, JobFilter(org=ORG, top=True), limit=100).items
        return sorted(found, key=lambda job: job.occurrence or 0)

    def test_a_schedule_follows_the_newest_version_or_keeps_to_one(self, desk: Desk) -> None:
        desk.create(ECHO)
        desk.create(GREET)
        self.schedule(desk, name="echo")
        self.pass_time(desk)
        desk.control.templates.change("echo", ECHO.replace("hello", "hey"), BOB)
        self.pass_time(desk)

        assert [(job.template_version, job.data["text"]) for job in self.made(desk)] == [
            (1, "hello"),
            (2, "hey"),
        ]

    def test_a_pinned_version_stays(self, desk: Desk) -> None:
        desk.create(ECHO)
        self.schedule(desk, name="echo", version=1)
        desk.control.templates.change("echo", ECHO.replace("hello", "hey"), BOB)
        self.pass_time(desk)

        assert [job.template_version for job in self.made(desk)] == [1]

    def test_it_is_kept_only_if_its_job_could_be_asked_for(self, desk: Desk) -> None:
        desk.create(GREET)

        with pytest.raises(MissingInput):
            self.schedule(desk, name="greet")
        with pytest.raises(NotFound):
            self.schedule(desk, name="nothing")

    def test_without_its_template_each_occurrence_is_a_job_that_failed(self, desk: Desk) -> None:
        template = desk.create(GREET)
        self.schedule(desk, name="greet", params={"text": "x"})
        self.pass_time(desk)
        desk.control.templates.delete("greet", BOB)
        self.pass_time(desk)

        first, second = self.made(desk)
        assert (first.state, first.template) == (State.WAITING, template.id)
        assert (second.state, second.action, second.kind) == (State.FAILED, "greet", Kind.PLAN)

    def test_a_secret_is_masked_in_what_is_shown(self, desk: Desk) -> None:
        desk.create(LOGIN)
        name = self.schedule(desk, name="login", params={"password": "hunter2"})
        self.pass_time(desk)

        with desk.control.database.reading() as connection:
            entry = get_entry(connection, name, org=ORG)
        assert entry.shown["work"]["template"]["params"] == {"password": "***"}
        assert [job.data["password"] for job in self.made(desk)] == ["***"]

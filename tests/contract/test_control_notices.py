"""Notices: what is told, to whom, and that it comes; on both databases, to servers that listen."""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.access import Role
from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.notifier import FIRST, GIVE_UP, Alarm, Notifier
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.documents import encode
from fleetjobs.errors import InvalidNotification, InvalidTime, NotFound
from fleetjobs.names import JobId
from fleetjobs.notices import FORBIDDEN, Kind, Topic
from fleetjobs.schedules.documents import Call, Misfire, Overlap, Schedule, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.sinks.mail import Mailer
from fleetjobs.sinks.webhook import Poster
from fleetjobs.states import Reason, State
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.notices import add_wish, list_notices, overlong_jobs
from fleetjobs.store.telling import tell_overlong
from fleetjobs.targets import Target
from tests.desk import KEY, MINUTE, WHO
from tests.desk import Desk as OldDesk
from tests.fake_sinks import Hook, Mailbox, mail_server, web_server
from tests.makers import NOW, ORG, Clock, enroll, make_reply

OPS = "mail:ops@example.org"
SECRET = b"between us"
DAY = timedelta(days=1)


@dataclass
class Desk(OldDesk):
    """A desk with a mailbox, and a coordinator that may be started anew at any time."""

    box: Mailbox = field(default_factory=Mailbox)
    forbidden: tuple[str, ...] = FORBIDDEN

    @property
    def notifier(self) -> Notifier:
        """That of a coordinator that has just started."""
        mailer = Mailer(host="127.0.0.1", port=self.box.port, sender="fleet@example.org")
        poster = Poster(key=SECRET, forbidden=self.forbidden)
        ways = {Kind.MAIL: mailer, Kind.WEBHOOK: poster}
        return Notifier(self.control.database, self.clock, ways)

    def tell(self) -> None:
        """Let a coordinator tell what is due."""
        while self.notifier.step():
            pass

    def schedule(self, *sinks: str, **changes: Any) -> None:
        """Every minute an echo on web1 that tells these sinks."""
        call = Call(
            agent="demo", action="echo", data={"text": "hi"}, target=Target(identities=("web1",))
        )
        values: dict[str, Any] = {
            "label": "nightly",
            "work": Work(call=call),
            "rule": Rule(every_s=60),
            "overlap": Overlap.ALLOW,
            "notify": sinks,
        }
        self.control.schedules.create(Schedule(**values | changes), **WHO)

    def occur(self, state: State | None) -> JobId:
        """The next occurrence's job, which ends so; None: it does not."""
        self.clock.now += MINUTE
        scheduler = Scheduler(self.control.database, self.clock, lambda r: KEY.seal(encode(r)))
        assert scheduler.step()
        with self.control.database.reading() as connection:
            job = list_jobs(connection, JobFilter(org=ORG), limit=1).items[0].id
        self.ours.add(job)
        if state is not None:
            self.hand_over()
            self.say(make_reply(job, state=state, statuscode=int(state is State.FAILED)))
        return job


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    enroll(database, "web1", "web2")
    with database.transaction() as connection:
        bob = Account(name="bob", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, bob, now=NOW)
    with mail_server() as box:
        yield Desk(Control(database, clock := Clock()), clock, box=box)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_server() as hook:
        yield hook


@pytest.mark.spec("S2-30", "S1-33")
def test_a_schedule_that_fails_thrice_and_then_works_is_two_mails(desk: Desk) -> None:
    """Whatever coordinator looks, for each outcome another one."""
    desk.schedule(OPS)

    for state in [State.SUCCEEDED, *[State.FAILED] * 3, *[State.SUCCEEDED] * 2]:
        desk.occur(state)
        desk.tell()

    assert desk.box.subjects == [
        "fleetjobs: [acme] schedule nightly fails: demo.echo failed",
        "fleetjobs: [acme] schedule nightly works again",
    ]
    first = desk.box.mails[0]
    assert first["To"] == "ops@example.org"
    assert "schedule: nightly" in str(first.get_payload())


def test_what_nobody_started_in_time_is_a_failure_of_its_schedule(desk: Desk) -> None:
    desk.schedule(OPS, misfire=Misfire.RUN_ONCE, misfire_grace_s=10)
    desk.clock.now += 10 * MINUTE + timedelta(seconds=30)
    Scheduler(desk.control.database, desk.clock, lambda r: KEY.seal(encode(r))).step()

    desk.tell()

    assert desk.box.subjects == [
        "fleetjobs: [acme] schedule nightly fails: demo.echo expired (missed)"
    ]


def test_what_is_called_off_says_nothing_about_its_schedule(desk: Desk) -> None:
    desk.schedule(OPS)
    job = desk.occur(None)
    desk.control.verbs.cancel(job, **WHO)

    desk.tell()

    assert desk.box.mails == []


@pytest.mark.spec("S1-33")
def test_a_job_tells_of_what_was_wished_and_of_nothing_else(desk: Desk, hook: Hook) -> None:
    """The wish may come before the job, so that nothing of it is missed."""
    job, quiet = desk.submit("web1"), desk.submit("web2")
    sink = f"webhook:{hook.url}"
    desk.control.notices.wish(**WHO, job=job, sinks=[OPS, sink], on="start,failure")

    desk.hand_over()
    desk.start(job)
    desk.fail(job)
    desk.say(make_reply(quiet, "web2", state=State.FAILED, statuscode=1))
    desk.tell()

    assert sorted(desk.box.subjects) == [
        "fleetjobs: [acme] demo.echo failed (exit_code)"
        if desk.job(job).reason is Reason.EXIT_CODE
        else "fleetjobs: [acme] demo.echo failed",
        "fleetjobs: [acme] demo.echo has begun",
    ]
    assert sorted(each["topic"] for each in hook.documents) == ["failure", "start"]
    assert {each["job"] for each in hook.documents} == {job}


def test_a_webhook_is_signed_and_shows_no_inputs(desk: Desk, hook: Hook) -> None:
    job = desk.submit("web1", data={"text": "a", "password": "hush"})
    desk.control.notices.wish(**WHO, job=job, sinks=[f"webhook:{hook.url}"], on="success")
    desk.hand_over()
    desk.say(make_reply(job))

    desk.tell()

    ((headers, body),) = hook.calls
    signed = headers["Fleetjobs-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    assert headers["Fleetjobs-Signature"] == f"sha256={expected}"
    assert hook.documents[0]["id"] == headers["Fleetjobs-Notification"]
    assert b"hush" not in body
    assert "data" not in hook.documents[0]


def test_what_a_sink_does_not_take_is_told_again_later_and_once(desk: Desk) -> None:
    desk.box.refusals = 2
    desk.control.notices.test(OPS, **WHO)

    for _ in range(5):
        desk.tell()
        desk.clock.now += FIRST * 2

    assert desk.box.subjects == ["fleetjobs: [acme] test"]
    assert notices(desk) == [(3, True, "")]


def test_a_redirect_is_not_followed_and_no_success(desk: Desk, hook: Hook) -> None:
    hook.status = 302
    desk.control.notices.test(f"webhook:{hook.url}", **WHO)

    desk.tell()

    assert len(hook.calls) == 1
    assert notices(desk) == [(1, False, "127.0.0.1 answered 302")]


def test_no_webhook_goes_where_machines_keep_their_secrets(desk: Desk, hook: Hook) -> None:
    desk.forbidden = (*FORBIDDEN, "127.0.0.0/8")
    for address in (hook.url, "http://169.254.169.254/latest", "http://[fe80::1]/"):
        desk.control.notices.test(f"webhook:{address}", **WHO)

    desk.tell()

    assert hook.calls == []
    assert all("no webhook may go" in error for _, _, error in notices(desk))


def test_what_was_given_up_can_be_sent_again(desk: Desk) -> None:
    port, desk.box.port = desk.box.port, 1  # nobody listens there
    notice = desk.control.notices.test(OPS, **WHO)
    desk.tell()
    desk.clock.now += GIVE_UP + MINUTE
    desk.tell()
    given_up = desk.notifier.next_at() is None

    desk.box.port = port
    desk.control.notices.retry(notice.id, **WHO)
    desk.tell()

    assert given_up
    assert desk.box.subjects == ["fleetjobs: [acme] test"]


@pytest.mark.spec("S1-14")
def test_an_org_hears_of_all_that_needs_a_person(desk: Desk) -> None:
    desk.control.notices.wish(**WHO, job=None, sinks=[OPS], on="attention")
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    desk.clock.now += 10 * MINUTE
    began = desk.clock() - DAY

    Reaper(desk.control.database, desk.clock, lambda: began).step()
    desk.tell()

    assert desk.box.subjects == ["fleetjobs: [acme] demo.echo needs a person (lost)"]


def test_a_job_that_takes_too_long_is_told_of_once(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.control.notices.wish(**WHO, job=job, sinks=[OPS], on="duration:10m")
    desk.hand_over()
    desk.start(job)

    for _ in range(4):
        desk.clock.now += 6 * MINUTE
        desk.tell()

    assert desk.box.subjects == ["fleetjobs: [acme] demo.echo takes longer than expected"]


def test_each_wish_is_told_when_its_own_time_has_passed(desk: Desk) -> None:
    """Also those for the whole org; one that was told says nothing to the others."""
    job = desk.submit("web1")
    for name, minutes in ((job, 10), (job, 30), (None, 20), (None, 90)):
        desk.control.notices.wish(**WHO, job=name, sinks=[OPS], on=f"duration:{minutes}m")
    desk.hand_over()
    desk.start(job)
    told = []

    for _ in range(5):
        desk.clock.now += 10 * MINUTE
        desk.tell()
        told.append(len(desk.box.mails))

    assert told == [1, 2, 3, 3, 3]


def test_what_takes_too_long_is_found_piece_by_piece(desk: Desk) -> None:
    jobs = {desk.submit("web1") for _ in range(3)}
    desk.control.notices.wish(**WHO, job=None, sinks=[OPS], on="duration:10m")
    desk.hand_over()
    for job in jobs:
        desk.start(job)
    desk.clock.now += 10 * MINUTE

    found = []
    with desk.control.database.transaction() as connection:
        while over := overlong_jobs(connection, desk.clock(), 2):
            tell_overlong(connection, over, desk.clock())
            found.append({job for _, job in over})

    assert [len(piece) for piece in found] == [2, 1]
    assert set().union(*found) == jobs


def test_a_wish_can_be_taken_back_however_many_came_after_it(desk: Desk) -> None:
    """Lists show the newest thousand."""
    wanted: dict[str, Any] = {"job": None, "sinks": [OPS], "on": "failure"}
    first = desk.control.notices.wish(**WHO, **wanted)
    with desk.control.database.transaction() as connection:
        for number in range(1000):
            later = first.created_at + MINUTE
            add_wish(connection, replace(first, id=f"w{number}", created_at=later))

    desk.control.notices.drop(first.id, **WHO)

    with pytest.raises(NotFound):
        desk.control.notices.drop(first.id, **WHO)


@pytest.mark.spec("S1-33")
def test_a_mistake_of_the_coordinators_own_is_one_mail_an_hour(desk: Desk) -> None:
    for _ in range(3):
        alarm = Alarm(desk.control.database, desk.clock, (OPS,))
        alarm.tell("scheduler", ZeroDivisionError("division by zero"))
        desk.clock.now += MINUTE
    desk.tell()

    assert desk.box.subjects == [
        "fleetjobs: the coordinator's scheduler failed: ZeroDivisionError: division by zero"
    ]
    assert notices(desk) == []
    assert len(notices(desk, org=None)) == 1


@pytest.mark.parametrize(
    ("sinks", "on", "error"),
    [
        (["ops@example.org"], "failure", InvalidNotification),
        (["mail:ops@example.org\nBcc: all@example.org"], "failure", InvalidNotification),
        (["webhook:ftp://example.org/"], "failure", InvalidNotification),
        (["webhook:https://user:hush@example.org/"], "failure", InvalidNotification),
        ([OPS], "success,never", InvalidNotification),
        ([OPS], "duration", InvalidNotification),
        ([OPS], "duration:soon", InvalidTime),
        ([OPS], "", InvalidNotification),
        ([], "failure", InvalidNotification),
        ([OPS] * 21, "failure", InvalidNotification),
    ],
)
def test_what_cannot_be_told_is_refused(
    desk: Desk, sinks: list[str], on: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        desk.control.notices.wish(**WHO, job=None, sinks=sinks, on=on)

    assert desk.control.notices.wishes(org=ORG) == []


def test_another_org_hears_nothing(desk: Desk) -> None:
    job = desk.submit("web1")

    with pytest.raises(NotFound):
        desk.control.notices.wish(
            org="other", account="eve", job=job, sinks=[OPS], on=Topic.SUCCESS
        )


def notices(desk: Desk, org: str | None = ORG) -> list[tuple[int, bool, str]]:
    """How often each was tried, whether it was sent, and what was wrong."""
    with desk.control.database.reading() as connection:
        found = list_notices(connection, org=org, limit=100).items
    return [(each.tries, each.sent_at is not None, each.error) for each in found]

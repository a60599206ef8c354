"""Rights that change after a job was accepted, on each database."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from fleetjobs.access import Effect, Grant, Role, Verb
from fleetjobs.broker.parcels import Parcel
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.jobs import Control
from fleetjobs.control.rights import Register
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.coordinator.warden import Warden
from fleetjobs.documents import encode
from fleetjobs.errors import Denied
from fleetjobs.jobs import Pending
from fleetjobs.messages import Verb as Order
from fleetjobs.names import JobId
from fleetjobs.signing import COORDINATOR, SigningKey, account_key_id
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.access import (
    Account,
    create_account,
    set_account,
    set_org,
    set_verify_key,
)
from fleetjobs.store.database import Database
from fleetjobs.store.grants import GrantEntry, delete_grant, insert_grant
from fleetjobs.targets import Target
from tests.desk import MINUTE, WHO, Desk
from tests.makers import NOW, ORG, Clock, enroll, make_request

CAROL = SigningKey.generate(account_key_id("carol"))
OTHER = SigningKey.generate(account_key_id("carol"))
HOUR = timedelta(hours=1)


class Post:
    """A broker that takes everything, and what it was given."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []

    def publish(self, parcels: list[Parcel]) -> None:
        self.parcels += parcels


class Office(Desk):
    """A desk that asks for rights, and a coordinator that does."""

    post: Post
    dispatcher: Dispatcher

    def dispatch(self) -> list[str]:
        """One pass; the queues to which something went."""
        self.post.parcels.clear()
        self.dispatcher.step()
        return [parcel.queue for parcel in self.post.parcels]

    def change(self, **columns: Any) -> None:
        """Have carol's account be otherwise."""
        with self.control.database.transaction() as connection:
            set_account(connection, "carol", **columns)

    def grant(self, effect: Effect, *actions: str, **more: Any) -> None:
        """Narrow carol down."""
        with self.control.database.transaction() as connection:
            grant = Grant(id="g1", effect=effect, verbs=frozenset(), actions=actions, **more)
            entry = GrantEntry(grant=grant, account="carol", created_at=NOW, created_by="bob")
            insert_grant(connection, entry)

    def stand(self, job: JobId, node: str = "web1") -> tuple[State, Reason | None, bool]:
        """How a run stands."""
        run = self.run(job, node)
        return run.state, run.reason, run.attention


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    clock = Clock()
    enroll(database, "web1", "web2")
    with database.transaction() as connection:
        for name, key in (("carol", CAROL.verify_key), ("bob", None)):
            account = Account(name=name, org=ORG, role=Role.OPERATOR, verify_key=key)
            create_account(connection, account, now=NOW)
    made = Office(Control(database, clock, acceptance=Acceptance(Register())), clock)
    made.post = Post()
    made.dispatcher = Dispatcher(
        database=database,
        publisher=made.post,  # type: ignore[arg-type]  it keeps the protocol as far as is needed
        key=SigningKey.generate(COORDINATOR),
        clock=clock,
        warden=Warden(database, clock),
    )
    return made


def ask(office: Office, *nodes: str, signed: bool = False, **changes: Any) -> JobId:
    """A job of carol's, signed by the server unless said otherwise."""
    nodes = nodes or ("web1",)
    request = make_request(caller="carol", target=Target(identities=nodes), **changes)
    if not signed:
        return office.hand_in(request)
    job = office.control.submit(CAROL.seal(encode(request)), request, org=ORG).job.id
    office.ours.add(job)
    return job


def take_role(office: Office) -> None:
    office.change(role=Role.VIEWER)


def disable(office: Office) -> None:
    office.change(disabled_at=NOW)


def disable_org(office: Office) -> None:
    with office.control.database.transaction() as connection:
        set_org(connection, ORG, disabled_at=NOW)


def deny(office: Office) -> None:
    office.grant(Effect.DENY, "demo.*")


def allow_another(office: Office) -> None:
    office.grant(Effect.ALLOW, "package.*")


def deny_there(office: Office) -> None:
    office.grant(Effect.DENY, "*", target=Target(identities=("web1",)))


def restore(office: Office) -> None:
    office.change(role=Role.OPERATOR, disabled_at=None)
    with office.control.database.transaction() as connection:
        set_org(connection, ORG, disabled_at=None)
        delete_grant(connection, "g1")


REVOKING = (take_role, disable, disable_org, deny, allow_another, deny_there)


@pytest.mark.spec("F19")
@pytest.mark.parametrize("revoke", REVOKING)
def test_what_may_no_longer_run_waits_for_a_person(office: Office, revoke: Any) -> None:
    """And goes on when a person resumes it after the right is back."""
    job = ask(office)
    revoke(office)

    assert office.dispatch() == []
    assert office.stand(job) == (State.PAUSED, Reason.DENIED, True)
    assert office.job(job).attention
    (told,) = [event for event in office.events(job) if event.kind == "run.denied"]
    assert "carol" in told.detail["why"] or "acme" in told.detail["why"]

    restore(office)
    office.dispatch()
    assert office.stand(job)[0] is State.PAUSED
    office.control.verbs.resume(job, **WHO)
    assert office.dispatch()
    assert office.stand(job) == (State.QUEUED, None, False)
    assert office.run(job).attempt == 1


@pytest.mark.spec("F19")
def test_resumed_too_early_it_waits_again(office: Office) -> None:
    job = ask(office)
    disable(office)
    office.dispatch()

    office.control.verbs.resume(job, **WHO)
    office.dispatch()

    assert office.stand(job) == (State.PAUSED, Reason.DENIED, True)


def test_a_grant_about_one_node_stops_its_run_alone(office: Office) -> None:
    job = ask(office, "web1", "web2")
    deny_there(office)

    office.dispatch()

    assert office.stand(job, "web1")[0] is State.PAUSED
    assert office.stand(job, "web2")[0] is State.QUEUED


@pytest.mark.spec("F19")
def test_what_lies_on_a_node_for_later_is_called_back(office: Office) -> None:
    """It was handed over long before its time."""
    job = ask(office, not_before=NOW + HOUR / 2)
    office.dispatch()
    assert office.stand(job)[0] is State.QUEUED

    disable(office)
    office.dispatch()
    assert office.run(job).pending is Pending.DENY

    assert office.obey() == [Order.WITHDRAW]
    assert office.stand(job) == (State.PAUSED, Reason.DENIED, True)
    assert office.run(job).pending is None


def test_what_had_begun_by_then_goes_on(office: Office) -> None:
    job = ask(office)
    office.dispatch()
    office.start(job)
    disable(office)

    office.dispatch()

    assert office.stand(job)[0] is State.RUNNING
    assert office.run(job).pending is None


@pytest.mark.spec("F19")
def test_another_try_is_a_start_too(office: Office) -> None:
    job = ask(office, retries=2)
    office.dispatch()
    office.fail(job)
    assert office.run(job).wait_reason is WaitReason.RETRY

    disable(office)
    office.later(HOUR)
    office.dispatch()

    assert office.stand(job) == (State.PAUSED, Reason.DENIED, True)


@pytest.mark.spec("F19")
@pytest.mark.parametrize("key", [OTHER.verify_key, None])
def test_what_a_former_key_signed_does_not_begin(office: Office, key: Any) -> None:
    job = ask(office, signed=True)
    office.later(MINUTE)
    with office.control.database.transaction() as connection:
        set_verify_key(connection, "carol", key, now=office.clock())

    office.dispatch()

    assert office.stand(job) == (State.PAUSED, Reason.DENIED, True)
    with office.control.database.transaction() as connection:
        set_verify_key(connection, "carol", CAROL.verify_key, now=office.clock())
    office.control.verbs.resume(job, **WHO)
    office.dispatch()
    assert office.stand(job)[0] is State.QUEUED


def test_what_the_server_signed_outlives_a_key(office: Office) -> None:
    job = ask(office)
    office.later(MINUTE)
    with office.control.database.transaction() as connection:
        set_verify_key(connection, "carol", OTHER.verify_key, now=office.clock())

    office.dispatch()

    assert office.stand(job)[0] is State.QUEUED


def test_while_rights_stand_still_nobody_is_looked_up_again(office: Office) -> None:
    ask(office)
    office.dispatch()
    asked: list[str] = []
    engine = office.control.database._engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    for _ in range(3):
        ask(office)
    asked.clear()

    office.dispatch()

    assert asked
    assert not [said for said in asked if "grants" in said or "accounts" in said]


@pytest.mark.parametrize("revoke", REVOKING)
def test_what_may_not_run_is_not_accepted(office: Office, revoke: Any) -> None:
    revoke(office)

    with pytest.raises(Denied):
        ask(office)


def test_who_has_no_account_runs_nothing(office: Office) -> None:
    with pytest.raises(Denied, match="no account"):
        office.submit("web1", caller="nobody")


def test_a_register_forgets_when_rights_change(office: Office) -> None:
    register = Register()
    who: dict[str, Any] = {"caller": "carol", "org": ORG}
    database = office.control.database
    with database.reading() as connection:
        register.check(connection, Verb.RUN, "demo.echo", **who)

    with database.transaction() as connection:
        set_account(connection, "carol", disabled_at=NOW)

    with database.reading() as connection, pytest.raises(Denied, match="disabled"):
        register.check(connection, Verb.RUN, "demo.echo", **who)

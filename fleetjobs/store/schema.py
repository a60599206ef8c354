"""Schema: the tables. Every row that belongs to somebody says to which org."""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TextClause,
    false,
    text,
)

from fleetjobs.access import Effect
from fleetjobs.jobs import Kind, Pending
from fleetjobs.limits import Scope
from fleetjobs.messages import Stage
from fleetjobs.schedules.due import Fate
from fleetjobs.states import Completion, Reason, Rollback, StartIf, State, WaitReason
from fleetjobs.store.columns import Moment, Word

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """A plain check: the native enumerations of PostgreSQL are painful to change."""
    members = ", ".join(f"'{member}'" for member in kind)
    return CheckConstraint(f"{column} IN ({members})", name=column)


def _where(condition: ColumnElement[bool] | TextClause) -> dict[str, Any]:
    """The index holds only rows of which that is true."""
    return {"sqlite_where": condition, "postgresql_where": condition}


orgs = Table(
    "orgs",
    metadata,
    Column("name", String, primary_key=True),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String, primary_key=True),
    Column("org", ForeignKey("orgs.name"), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("verify_key", String),  # base64url; null: the server signs for it
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    Column("deleted_at", Moment),  # it keeps its name: what it did is on record
    Column("password", String),  # argon2id, as PHC string; null: it cannot log in by one
    Column("key_changed_at", Moment),  # another key, or none, took the place of one
)

grants = Table(
    "grants",
    metadata,
    Column("id", String, primary_key=True),
    Column("account", ForeignKey("accounts.name"), nullable=False, index=True),
    Column("effect", Word(Effect), nullable=False),
    Column("verbs", JSON, nullable=False),  # empty: all
    Column("actions", JSON, nullable=False),
    Column("target", JSON(none_as_null=True)),  # null: every node
    Column("created_at", Moment, nullable=False),
    Column("created_by", String, nullable=False),
)

epochs = Table(  # counters that say whether what was read before still holds
    "epochs",
    metadata,
    Column("name", String, primary_key=True),  # rights: of orgs, accounts, keys and grants
    Column("number", BigInteger, nullable=False),
)

settings = Table(  # what a fleet admin sets for all
    "settings",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", String, nullable=False),
)

audit = Table(  # never changed, never pruned; each row bears the hash of the one before
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # from 1, without a gap
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),  # an account; empty: nobody that we know
    Column("address", String, nullable=False),  # from where; empty: on the server itself
    Column("org", String),  # whose thing it is; null: nobody's
    Column("kind", String, nullable=False),  # such as `account.changed`
    Column("subject", String, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("note", String, nullable=False),  # of what was refused: why
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    Index(None, "org", "seq"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("sha256", String, primary_key=True),  # of the token, hexadecimal
    Column("account", ForeignKey("accounts.name"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)

nodes = Table(
    "nodes",
    metadata,
    Column("identity", String, primary_key=True),
    Column("org", ForeignKey("orgs.name"), nullable=False, index=True),
    Column("verify_key", String, nullable=False),  # base64url
    Column("enrolled_at", Moment, nullable=False),
    Column("seen_at", Moment),  # by our clock
    Column("started_at", Moment),  # by the node's clock, as all below
    Column("software", String),
    Column("running", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("agents", JSON, nullable=False),  # name -> version
    Column("refused", JSON, nullable=False),  # agent name -> why it was not loaded
    Column("slots", Integer, nullable=False, server_default="0"),
    Column("twin_at", Moment),  # when another machine last spoke under its identity, by our clock
    Column("twin_told_at", Moment),  # when that was logged
    Column("inventory", String),  # SHA-256 of the last inventory: most say nothing new
    Index(None, "twin_at", **_where(text("twin_at IS NOT NULL"))),
)

interfaces = Table(
    "interfaces",
    metadata,
    Column("digest", String, primary_key=True),  # SHA-256 of the document, keys sorted
    Column("agent", String, nullable=False),
    Column("version", String, nullable=False),
    Column("document", JSON, nullable=False),
)

node_agents = Table(
    "node_agents",
    metadata,
    Column("node", ForeignKey("nodes.identity", ondelete="CASCADE"), primary_key=True),
    Column("agent", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("interface", ForeignKey("interfaces.digest"), nullable=False),
    Index(None, "org", "agent", "interface"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", ForeignKey("orgs.name"), nullable=False),
    Column("caller", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("action", String, nullable=False),
    Column("data", JSON, nullable=False),  # secrets masked
    Column("target", JSON, nullable=False),
    Column("sealed", String, nullable=False),
    Column("meaning", String, nullable=False),  # digest of what was asked, whenever it was said
    Column("state", Word(State), nullable=False),
    Column("wait_reason", Word(WaitReason)),
    Column("reason", Word(Reason)),
    Column("tally", JSON, nullable=False),  # state -> number of runs
    Column("completion", Word(Completion)),
    Column("attention", Boolean(create_constraint=False), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("not_before", Moment),
    Column("start_before", Moment),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("rerun_of", String),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("retry_delay_s", Float, nullable=False, server_default="30"),
    Column("lost_after_s", Float, nullable=False, server_default="60"),
    Column("retry_lost", Boolean, nullable=False, server_default=false()),
    Column("give_up_s", Float, server_default="86400"),  # after a run was lost; null: never
    Column("inline", Boolean, nullable=False, server_default=false()),
    Column("needing", Integer, nullable=False, server_default="0"),  # runs that need a person
    Column("edit", JSON(none_as_null=True)),  # columns as they are to be, once a node agrees
    Column("kind", Word(Kind), nullable=False, server_default=Kind.ACTION),
    Column("plan", String),  # that it is a part of, or the first job it follows
    Column("parent", String),  # the plan or group that it is a part of, or else its origin
    Column("origin", String),  # the job whose action asked for it
    Column("leg", String),  # its key in the plan
    Column("position", Integer, nullable=False, server_default="0"),  # in the plan
    Column("needs", JSON(none_as_null=True)),  # what it waits for, by leg; see `jobs.Link`
    Column("fills", JSON(none_as_null=True)),  # reference -> the leg whose answer it means
    Column("on_failure", String),
    Column("max_failures", Integer, nullable=False, server_default="0"),
    Column("delay_s", Float, nullable=False, server_default="0"),
    Column("weight", Float, nullable=False, server_default="1"),  # in its parent's percentage
    Column("weights", Float, nullable=False, server_default="0"),  # of all its legs
    Column("progress", Float, nullable=False, server_default="0"),  # how much of that is done
    Column("percent", Float),
    Column("blocked", Integer, nullable=False, server_default="0"),  # runs or legs that wait
    Column("forgiven", Integer, nullable=False, server_default="0"),  # failures that do not count
    Column("called_off", Boolean, nullable=False, server_default=false()),
    Column("partly", Boolean, nullable=False, server_default=false()),  # a leg was done in part
    Column("undoes", String),  # the leg that it takes back; of a group, the plan
    Column("undo", JSON(none_as_null=True)),  # what would take it back; see `plans.undoing.Recipe`
    Column("detour", JSON(none_as_null=True)),  # before another try; see `plans.detours.Step`
    Column("reverts", Boolean, nullable=False, server_default=false()),
    Column("undoing", Word(State)),  # how the taking back stands
    Column("rollback", Word(Rollback)),
    Column("rollback_percent", Float),
    Column("leg_summary", JSON(none_as_null=True)),  # of legs that were forgotten
    Column("irreversible", JSON(none_as_null=True)),  # keys of legs that nothing takes back
    Column("schedule", String),  # that made it
    Column("occurrence", Integer),  # of that schedule
    Column("missed_count", Integer, nullable=False, server_default="0"),
    Column("window_only", Boolean),  # null: what windows there are hold
    Column("splay_s", Float, nullable=False, server_default="0"),  # its nodes begin over so long
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("template", String),  # the id of the one it was made from
    Column("template_version", Integer),
    Column("rollout", JSON(none_as_null=True)),  # see `rollouts.Course`
    Column("rollout_at", Moment),  # its next batch begins then
    _one_of("state", State),
)

TOP = text("parent IS NULL")  #: literally: so SQLite sees that the index fits
for _place in (
    (jobs.c.org, jobs.c.created_at, jobs.c.id),  # newest first
    (jobs.c.org, jobs.c.state, jobs.c.created_at, jobs.c.id),
    (jobs.c.created_at, jobs.c.id),
):
    Index(None, *_place, **_where(TOP))
Index(None, jobs.c.parent, jobs.c.position, **_where(jobs.c.parent.is_not(None)))
Index(None, jobs.c.plan, jobs.c.position, **_where(jobs.c.plan.is_not(None)))
FOLLOWS = text("origin IS NOT NULL")
Index(None, jobs.c.plan, jobs.c.origin, **_where(FOLLOWS))

Index(None, jobs.c.schedule, jobs.c.created_at, **_where(jobs.c.schedule.is_not(None)))
OF_SCHEDULE = text("schedule IS NOT NULL AND ended_at IS NULL")
Index("ix_jobs_schedule_live", jobs.c.schedule, **_where(OF_SCHEDULE))

Index(None, jobs.c.template, jobs.c.created_at, **_where(jobs.c.template.is_not(None)))

templates = Table(
    "templates",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", ForeignKey("orgs.name")),  # null: every org may use it
    Column("label", String, nullable=False),
    Column("description", String, nullable=False),
    Column("version", Integer, nullable=False),  # the newest
    Column("seed", Integer),  # the version of the seed it was last made from
    Column("builtin", Boolean, nullable=False),  # it came with the installation
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("ended_at", Moment),  # deleted then; its versions stay
)
ENDLESS = templates.c.ended_at.is_(None)
Index(
    "uq_templates_label",
    templates.c.org,
    templates.c.label,
    unique=True,
    **_where(ENDLESS & templates.c.org.is_not(None)),
)
Index(
    "uq_templates_label_of_fleet",
    templates.c.label,
    unique=True,
    **_where(ENDLESS & templates.c.org.is_(None)),
)

template_versions = Table(  # no row of it ever changes
    "template_versions",
    metadata,
    Column("template", ForeignKey("templates.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", String, nullable=False),
    Column("author", String, nullable=False),
    Column("created_at", Moment, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", ForeignKey("orgs.name"), nullable=False),
    Column("label", String, nullable=False),
    Column("owner", String, nullable=False),  # in whose name its jobs are asked for
    Column("document", JSON, nullable=False),  # what was handed in
    Column("shown", JSON, nullable=False),  # the same with secrets masked
    Column("anchor", Moment, nullable=False),  # where its rule begins to count
    Column("seen_at", Moment, nullable=False),  # occurrences up to then have their fates
    Column("next_at", Moment),  # null: none is awaited
    Column("made", Integer, nullable=False),  # jobs
    Column("skips", Integer, nullable=False),  # so many of the next occurrences are left out
    Column("version", Integer, nullable=False),
    Column("builtin", Boolean, nullable=False, server_default=false()),  # see templates
    Column("seed", Integer),
    Column("barred", Boolean, nullable=False, server_default=false()),  # by the settings
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),  # deleted then; its jobs and occurrences stay
    Column("tells", Boolean(create_constraint=False), nullable=False, server_default=false()),
)
Index(
    "uq_schedules_label",
    schedules.c.org,
    schedules.c.label,
    unique=True,
    **_where(schedules.c.ended_at.is_(None)),
)
Index(None, schedules.c.next_at, schedules.c.id, **_where(schedules.c.next_at.is_not(None)))

occurrences = Table(  # each has exactly one fate
    "occurrences",
    metadata,
    Column("schedule", ForeignKey("schedules.id"), primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("org", String, nullable=False),
    Column("fate", Word(Fate), nullable=False),
    Column("reason", Word(Reason)),
    Column("job", String),  # that it became, or that stands for it
    Column("noted_at", Moment, nullable=False),
)
Index(None, jobs.c.rollout_at, **_where(jobs.c.rollout_at.is_not(None)))

runs = Table(
    "runs",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("state", Word(State), nullable=False),
    Column("wait_reason", Word(WaitReason)),
    Column("reason", Word(Reason)),
    Column("attempt", Integer, nullable=False),
    Column("stage", Word(Stage)),  # the furthest the node told of this attempt
    Column("statuscode", Integer),
    Column("statusmsg", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("exit_code", Integer),
    Column("stdout_size", BigInteger, nullable=False),
    Column("stderr_size", BigInteger, nullable=False),
    Column("queued_at", Moment),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("handed_at", Moment),  # when it was last given to the broker
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("pending", Word(Pending)),  # what an order asks for; null: the node knows all of it
    Column("pending_at", Moment),
    Column("tries", Integer, nullable=False, server_default="1"),
    Column("next_attempt_at", Moment),
    Column("attention", Boolean, nullable=False, server_default=false()),
    Column("blocked_by", String),
    Column("not_before", Moment),  # of a leg, counted from when it was let go on
    Column("start_before", Moment),
    Column("turn", Integer, nullable=False, server_default="1"),  # the batch that it is in
    Column("percent", Float),  # of this attempt that is done, as its program told last
    Column("doing", String, nullable=False, server_default=""),  # what it told beside that
    Column("lane", String),  # agent.action, if that has a limit: in line for a slot, or in one
    Column("lined_at", Moment),  # since when it is in line
    Column("rank", Integer),  # in line: the lower goes first
    Column("slot_at", Moment),  # since when it has a slot
    Column("step", String),  # of a detour, that the attempt is; null: it is the leg itself
    Column("opens_at", Moment),  # when the window that it waits for opens; null: not in sight
    Column("told_until", Moment),  # its node was told to begin before a window closes
    # Four alarms; each is null when it is not set, so that a quiet index is an empty one.
    Column("dispatch_at", Moment),  # to be given to the broker from then on
    Column("order_at", Moment),  # an order is to be given to the broker from then on
    Column("ask_at", Moment),  # its node is to be asked from then on
    Column("expire_at", Moment),  # then it is too late to start, or its node is given up
    _one_of("state", State),
)

for _alarm in (runs.c.dispatch_at, runs.c.order_at, runs.c.ask_at, runs.c.expire_at):
    Index(None, _alarm, runs.c.job, runs.c.node, **_where(_alarm.is_not(None)))
AT_WORK = text("state IN ('running', 'cancelling')")  #: literally: so SQLite sees the index fits
Index("ix_runs_at_work", runs.c.node, **_where(AT_WORK))
IS_LIVE = text("state NOT IN ('succeeded', 'failed', 'cancelled', 'skipped', 'expired')")
Index("ix_runs_live", runs.c.node, **_where(IS_LIVE))
ASKS_ATTENTION = text("attention")
Index("ix_runs_attention", runs.c.org, runs.c.job, runs.c.node, **_where(ASKS_ATTENTION))

IN_LINE = text("lane IS NOT NULL AND slot_at IS NULL")
HAS_SLOT = text("slot_at IS NOT NULL")
_line = (runs.c.lane, runs.c.org, runs.c.rank, runs.c.lined_at, runs.c.job, runs.c.node)
Index("ix_runs_in_line", *_line, **_where(IN_LINE))
Index("ix_runs_slots", runs.c.lane, runs.c.org, runs.c.node, **_where(HAS_SLOT))

HELD_UP = text("wait_reason IN ('window', 'pause')")
Index("ix_runs_held_up", runs.c.wait_reason, runs.c.org, runs.c.node, **_where(HELD_UP))

windows = Table(
    "windows",
    metadata,
    Column("org", String, primary_key=True),  # empty: of all orgs
    Column("name", String, primary_key=True),
    Column("document", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Moment, nullable=False),
)

limits = Table(  # how many runs of an action may be at work at once
    "limits",
    metadata,
    Column("task", String, primary_key=True),  # agent.action
    Column("scope", Word(Scope), primary_key=True),
    Column("name", String, primary_key=True),  # of the org or node; empty: each of them
    Column("declared", Boolean, primary_key=True),  # by an interface
    Column("most", Integer, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Moment, nullable=False),
)

turns = Table(  # when an org last got a slot of an action: the next one is another's
    "turns",
    metadata,
    Column("lane", String, primary_key=True),
    Column("org", String, primary_key=True),
    Column("at", Moment, nullable=False),
)

attempts = Table(  # those before the latest, which is the run itself
    "attempts",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("org", String, nullable=False),
    Column("state", Word(State), nullable=False),
    Column("reason", Word(Reason)),
    Column("statuscode", Integer),
    Column("statusmsg", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("exit_code", Integer),
    Column("stdout_size", BigInteger, nullable=False),
    Column("stderr_size", BigInteger, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("late", Boolean, nullable=False),  # its end came after we had given it up
    Column("kept_at", Moment, nullable=False, index=True),
    Column("step", String),  # as of runs
)

dependencies = Table(
    "dependencies",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True, server_default=""),  # empty: all its runs wait
    Column("on_job", String, primary_key=True),
    Column("on_node", String, primary_key=True),  # empty: for the whole job
    Column("when", Word(StartIf), nullable=False),
    Column("met", Boolean, nullable=False),
    Index(None, "on_job", "on_node"),
)

wishes = Table(  # who wishes to hear of what
    "wishes",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("job", String, nullable=False),  # empty: all jobs of the org
    Column("topics", JSON, nullable=False),
    Column("sinks", JSON, nullable=False),
    Column("duration_s", Float),
    Column("by", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "job", "org"),
)

notices = Table(  # what is told to somebody
    "notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", String),  # null: to those who run the fleet
    Column("topic", String, nullable=False),
    Column("sink", String, nullable=False),
    Column("job", String, index=True),
    Column("schedule", String),
    Column("document", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment),  # null: it was sent, or given up
    Column("tries", Integer, nullable=False),
    Column("sent_at", Moment),
    Column("error", String, nullable=False),
    Index(None, "org", "created_at", "id"),
    Index(None, "due_at", **_where(text("due_at IS NOT NULL"))),
)

outcomes = Table(  # how the last job of each schedule ended that tells of it
    "outcomes",
    metadata,
    Column("schedule", String, primary_key=True),
    Column("outcome", String, nullable=False),  # ok, failed
    Column("flips", Integer, nullable=False),  # how often that was told
    Column("at", Moment, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    Column("id", String, primary_key=True),
    Column("org", String, nullable=False),
    Column("node", String, nullable=False),
    Column("document", JSON, nullable=False),  # without the times, which sending adds
    Column("asked_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("sent_at", Moment),
    Column("answer", JSON(none_as_null=True)),
    Column("answered_at", Moment),
)
Index("ix_questions_unsent", questions.c.asked_at, **_where(questions.c.sent_at.is_(None)))

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),  # host:pid
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
)

switches = Table(  # what was said to all coordinators
    "switches",
    metadata,
    Column("name", String, primary_key=True),  # relay, org:NAME, node:NAME: paused; stop: end
    Column("at", Moment, nullable=False),
    Column("by", String, nullable=False),
    Column("message", String, nullable=False),
)

logs = Table(
    "logs",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("stream", String, primary_key=True),  # stdout, stderr
    Column("org", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("org", String),
    Column("job", String),
    Column("node", String),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("old", Word(State)),
    Column("new", Word(State)),
    Column("reason", String),
    Column("detail", JSON, nullable=False),
    Column("plan", String),  # that the job is, or is a part of
    Index(None, "job", "seq"),
    Index(None, "org", "seq"),
    sqlite_autoincrement=True,  # a number is never used again, so a reader's place stays its place
)
Index(None, events.c.plan, events.c.seq, **_where(events.c.plan.is_not(None)))

"""Views of one job: its head, its runs as a table, its runs at length."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from shlex import quote

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.screen import Screen, clean, line
from fleetjobs.cli.session import program
from fleetjobs.cli.words import headway, local, span
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document, read_reply
from fleetjobs.errors import Fault
from fleetjobs.states import State

NAMED = 5  #: jobs that are named; the others are counted
LOG_BYTES = 2000  #: the end of each stream that is shown with a run


def header(screen: Screen, job: Document) -> None:
    """What was asked for, and how it stands."""
    state = screen.paint(line(job["state"]), style_of(job["state"]) or "bold")
    why = job["reason"] or job["wait_reason"]
    done = ", partly done" if job["completion"] == "partial" else ""
    tally = ", ".join(f"{count} {line(name)}" for name, count in job["tally"].items())
    rows = [
        ("state", state + (f" ({line(why)})" if why else "") + done),
        ("why", line(job.get("why") or "")),
        ("done", f"{job['percent_complete']} %" if job.get("percent_complete") is not None else ""),
        ("action", f"{line(job['agent'])}.{line(job['action'])}"),
        ("inputs", line(in_json(job["data"], indent=None)) if job["data"] else ""),
        ("parts", f"{job['parts']}: {tally}" if job.get("parts") else ""),
        ("follows", line(job["origin"]) if job.get("origin") else ""),
        ("then", _followers(job)),
        ("nodes", "" if job.get("parts") else f"{job['nodes']}: {tally}" if tally else "none"),
        ("after", _after(job)),
        ("undone", _undone(job)),
        ("batch", _rollout(job.get("rollout"))),
        ("target", line(as_options(job["target"])) or "every node"),
        ("caller", f"{line(job['caller'])} of {line(job['org'])}"),
        ("template", _template(job)),
        ("prio", job.get("priority") or ""),
        ("asked", local(job["created_at"])),
        ("due", local(job["not_before"]) + _spread(job)),
        ("until", local(job["start_before"]) if not State(job["state"]).is_terminal else ""),
        ("started", local(job["started_at"])),
        ("ended", local(job["ended_at"]) + _took(job)),
    ]
    screen.write(f"{screen.paint('    job', 'bold')}  {line(job['id'])}")
    for title, text in rows:
        if text:
            screen.write(f"{screen.paint(f'{title:>7}', 'bold')}  {text}")
    screen.write()


def _spread(job: Document) -> str:
    """Over how long its nodes begin."""
    splay = timedelta(seconds=job.get("splay_s") or 0)
    if not splay:
        return ""
    over = f"its nodes begin spread over {span(splay)}"
    return f", {over}" if job["not_before"] else over


def _template(job: Document) -> str:
    """From which one it was made."""
    label = job.get("template_label")
    return f"{line(label)}, version {job['template_version']}" if label else ""


def _followers(job: Document) -> str:
    """What its action asked for: how much, and how to see it."""
    count = 0 if job.get("parts") else len(job.get("children") or ())
    if not count:
        return ""
    return f"{count} job{'s' if count > 1 else ''} more, see `{program()} job legs {job['id']}`"


def _after(job: Document) -> str:
    """What it still waits for: `JOB@NODE (succeeded)`."""
    if State(job["state"]).is_terminal or job.get("parent"):
        return ""
    named = [
        f"{line(one['job'])}{'@' + line(one['node']) if one['node'] else ''} ({line(one['when'])})"
        for one in job.get("after") or ()
        if not one["met"]
    ]
    return ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if named[NAMED:] else "")


def _undone(job: Document) -> str:
    """What became of a plan's way back."""
    if job.get("rollback_percent") is not None and not State(job["state"]).is_terminal:
        return f"{job['rollback_percent']} %"
    if not job.get("rollback"):
        return ""
    left = ", ".join(line(key) for key in job.get("not_reversible") or ())
    return line(job["rollback"]) + (f": nothing takes back {left}" if left else "")


def _rollout(course: Document | None) -> str:
    """`2 of 5, rolling; 1 failed, 2 may`."""
    if course is None:
        return ""
    known = f", {course['excused']} of them excused" if course["excused"] else ""
    due = f" until {local(course['next_at'])}" if course["next_at"] else ""
    return (
        f"{course['batch']} of {course['batches']}, {line(course['phase'])}{due}; "
        f"{course['failed']} failed{known}, {course['max_failures']} may"
    )


def as_options(target: Document) -> str:
    """A target as the options that make it."""
    words = [
        (flag, value)
        for flag, name in (
            ("-I", "identities"),
            ("-F", "facts"),
            ("-C", "classes"),
            ("-A", "agents"),
        )
        for value in target.get(name) or ()
    ]
    for flag, name in (
        ("-S", "compound"),
        ("-T", "org"),
        ("--limit", "limit"),
        ("--limit-seed", "seed"),
    ):
        if target.get(name) is not None:
            words.append((flag, str(target[name])))
    return " ".join(f"{flag} {quote(value)}" for flag, value in words)


def _message(run: Document) -> str:
    """What it said, or what it waits for."""
    if run["state"] == "waiting" and run.get("opens_at"):
        return f"begins {local(run['opens_at'])} at the earliest"
    if run["wait_reason"] == "concurrency" and run.get("blocked_by"):
        return f"behind {run['blocked_by']}"
    return "" if run["statusmsg"] == "OK" else str(run["statusmsg"])


def runs_table(screen: Screen, runs: Sequence[Document]) -> None:
    """A row for each run."""
    columns = [
        Column("node", "bold"),
        Column("state", style_of),
        Column("reason"),
        Column("status", right=True),
        Column("message", wraps=True),
        Column("started"),
        Column("took", right=True),
    ]
    rows = [
        [
            run["node"],
            run["state"],
            run["reason"] or run["wait_reason"],
            run["statuscode"],
            headway(run.get("progress")) or _message(run),
            local(run["started_at"]),
            _took(run).strip(" ()"),
        ]
        for run in runs
    ]
    draw(screen, columns, rows)


def details(screen: Screen, asked: Fleet, job: Document, runs: Sequence[Document]) -> None:
    """Every run with its data and the end of what it wrote."""
    from fleetjobs.cli.printing import Texts
    from fleetjobs.client.asking import fetch_interface

    try:
        action = fetch_interface(asked, job["agent"]).actions.get(job["action"])
    except Fault:  # nobody has the agent any more; its replies can be shown all the same
        action = None
    texts = Texts(screen, action)
    for run in runs:
        if not State(run["state"]).is_terminal:
            why = run["reason"] or run["wait_reason"]
            state = screen.paint(line(run["state"]), style_of(run["state"]) or "yellow")
            state += f" ({line(why)})" if why else ""
            far = line(headway(run.get("progress")) or _message(run))
            name = screen.paint(line(run["node"]), "bold")
            screen.write("  ".join(filter(None, (name, state, far))) + "\n")
            continue
        screen.write(texts.reply(read_reply(run), 0).rstrip("\n"))
        if run["started_at"]:
            took = f"started {local(run['started_at'])}{_took(run)}, attempt {run['attempt']}"
            screen.write(f"   {screen.paint(took, 'dim')}")
        for stream in ("stdout", "stderr"):
            _log(screen, asked, run, stream)
        screen.write()


def _log(screen: Screen, asked: Fleet, run: Document, stream: str) -> None:
    size = run["logs"][stream]["size"]
    if not size:
        return
    content, _ = asked.log(run["job"], run["node"], stream, [("tail", LOG_BYTES)])
    more = f", the last {len(content)} of {size} bytes" if len(content) < size else ""
    screen.write(f"   {screen.paint(f'{stream}{more}:', 'bold')}")
    for text in clean(content.decode("utf-8", "replace")).splitlines():
        screen.write(f"      {text}")


def _took(found: Document) -> str:
    """` (3 s)`, if it has both begun and ended."""
    began, ended = found["started_at"], found["ended_at"]
    if not began or not ended:
        return ""
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return f" ({span(max(took, timedelta()))})"

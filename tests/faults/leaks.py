"""Leaks: processes, files, queues and slots that outlive what they were for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import psutil
from kombu import Queue

from fleetjobs.broker.connections import REPLIES, connect, node_queue_name, queues_of
from fleetjobs.errors import Fault
from tests.faults.fleet import Fleet, at_work
from tests.servers import Rabbit

FILES_MOST = 200  #: descriptors of a program that has nothing to do
KNOWN_QUEUES = ("node.", "loose.", REPLIES, "celeryev", "amq.gen")
KNOWN_ENDS = (".celery.pidbox", ".reply.celery.pidbox")


def leaks(fleet: Fleet) -> Iterator[str]:
    """What a fleet that has nothing to do still has."""
    for node in fleet.nodes:
        if waiting := in_queue(fleet.broker_url, node):
            yield f"I10 {node}: {waiting} messages in its queue"
        yield from _in_spool(fleet, node)
    yield from _processes(fleet)
    yield from _slots(fleet)
    yield from _queues(fleet)


def in_queue(url: str, node: str) -> int:
    """How many messages the broker holds for a node and has not given to it."""
    return sum(_held(url, queue) for queue in queues_of(node_queue_name(node), url))


def _held(url: str, queue: Queue) -> int:
    with connect(url) as connection:
        try:
            bound = queue.bind(connection.default_channel)
            return int(bound.queue_declare(passive=True).message_count)
        except connection.channel_errors:  # Redis knows no empty list
            return 0


def _in_spool(fleet: Fleet, node: str) -> Iterator[str]:
    spool = fleet.spool(node)
    for entry in spool.outbox():
        yield f"I10 {node}: {entry.path.name} is in its outbox"
    for run in spool.runs():
        if not run.is_settled:
            yield f"I10 {node}: {run.key} is not settled"
        elif at_work(run):
            yield f"I10 {node}: somebody works on {run.key}"
        for pipe in run.path.glob("*.pipe"):
            yield f"I10 {node}: {run.key} left {pipe.name}"
    for name in spool.broken():
        yield f"I10 {node}: {name} is broken"


def _processes(fleet: Fleet) -> Iterator[str]:
    """One runner host a node; nobody who was started for a request."""
    hosts, root = Counter[str](), str(fleet.premises.root)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("FLEETJOBS_REQUEST", "").startswith(root):
                yield f"I9 {process.pid} ({' '.join(process.cmdline())[:80]}) was left behind"
            line = " ".join(process.cmdline())
            if "runner_host" in line:
                hosts.update(node for node in fleet.nodes if str(fleet.spool(node).root) in line)
    for node, count in hosts.items():
        if count > 1:
            yield f"I10 {node}: {count} runner hosts, or runners"
    for part in fleet.parts.values():
        with suppress(psutil.Error):
            if (files := psutil.Process(part.pid).num_fds()) > FILES_MOST:
                yield f"I10 {part.name} has {files} files open"


def _slots(fleet: Fleet) -> Iterator[str]:
    try:
        nodes = fleet.client().nodes()
    except Fault as fault:
        yield f"I12 {fault}"
        return
    for node in nodes:
        if node["running"] or node["waiting"]:
            yield f"I10 {node['identity']}: {node['running']} at work, {node['waiting']} waiting"


def _queues(fleet: Fleet) -> Iterator[str]:
    if not isinstance(fleet.broker, Rabbit):
        return
    try:
        found = fleet.broker.ask("GET", "queues")
    except OSError:
        return
    assert isinstance(found, list)
    for name in (queue["name"] for queue in found):
        if not name.startswith(KNOWN_QUEUES) and not name.endswith(KNOWN_ENDS):
            yield f"I10 the broker has a queue {name}"

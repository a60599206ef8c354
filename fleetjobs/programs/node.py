"""Node: a Celery worker bound to one node's queue, with everything that makes it a node.

    python -m fleetjobs.programs.node [--config FILE]
    python -m fleetjobs.programs.node jobs [--json] [--config FILE]
    python -m fleetjobs.programs.node run-file REQUEST.json [--config FILE]

Settings: `programs.settings.NodeSettings`, from the file and variables
FLEETJOBS_NODE_*.
"""

import argparse
import logging
import os
import socket
import sys
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from threading import Event

from celery.exceptions import SecurityWarning
from celery.signals import setup_logging

from fleetjobs.broker.app import make_app
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.clocks import now, patience
from fleetjobs.errors import Fault
from fleetjobs.names import NodeId, node_id
from fleetjobs.node.activation import Activator
from fleetjobs.node.admission import Admission
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.beater import Beater, Load
from fleetjobs.node.consumer import take_over_control
from fleetjobs.node.hosting import RunnerHost
from fleetjobs.node.inline import InlineActor
from fleetjobs.node.launcher import Launcher
from fleetjobs.node.orders import Orders
from fleetjobs.node.questions import Questions
from fleetjobs.node.receiver import Receiver
from fleetjobs.node.reports import Reports
from fleetjobs.node.sender import Sender
from fleetjobs.node.watched import Watched, policy_in, trusted_keys
from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.arguments import Parser
from fleetjobs.programs.foreground import run_request, show_jobs, show_key
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.loops import Loops
from fleetjobs.programs.registries import for_worker
from fleetjobs.programs.settings import NodeSettings, load_settings
from fleetjobs.programs.workplaces import workplace_of
from fleetjobs.registry import Registry
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.pruning import Pruner
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool

logger = logging.getLogger(__name__)

PRUNE_EVERY_S = 600.0  #: how often what is kept is looked through
ACTIVATE_EVERY_S = 5.0  #: how often agents are looked for; no other's rests for less
SOFTWARE = version("fleetjobs")  #: looked up once for all that are forked
LAUNCH_EVERY_S = 5.0  #: the launcher looks around even if nobody wakes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parts of a node, put together."""

    receiver: Receiver
    announcer: Announcer
    sender: Sender
    backlog: Backlog
    launcher: Launcher
    beater: Beater
    pruner: Pruner
    activator: Activator
    beat_now: Event  # the broker is back, or there are other agents

    def start(self, loops: Loops, beat_every_s: float) -> None:
        """Have everything at work that does not wait for the broker."""
        self.activator.step()  # before anybody asks for what they do
        self.beater.step()  # the first beat tells agents and targets what the node is
        loops.start("launcher", self._launch)
        loops.start("sender", self.sender.step)
        loops.start("beater", lambda: self._beat(beat_every_s))
        loops.start("activator", self.activator.step, every=ACTIVATE_EVERY_S)
        loops.start("pruner", self.pruner.step, every=PRUNE_EVERY_S)

    def _launch(self) -> None:
        self.launcher.step()
        self.launcher.wait(patience(LAUNCH_EVERY_S))

    def _beat(self, every_s: float) -> None:
        """At the latest after so many seconds; at once when the broker is back."""
        self.beat_now.wait(every_s)
        self.beat_now.clear()
        self.beater.step()


def make_node(
    settings: NodeSettings, registry: Registry, sender: Sender, spool: Spool, host: RunnerHost
) -> Node:
    """Put the parts together. Raises InvalidSetting."""
    identity = node_id(settings.identity)
    workplace = workplace_of(settings)
    signer = SigningKey.load(node_key_id(identity), settings.key)
    ground = _Ground(
        settings=settings,
        workplace=workplace,
        identity=identity,
        signer=signer,
        sender=sender,
        spool=spool,
        registry=registry,
        orders=Orders(node=identity, spool=spool, signer=signer, clock=now),
        announcer=Announcer(),
        backlog=Backlog(),
        gone=Seen(settings.state / "gone", now, is_durable=True),
    )
    launcher = _launcher(ground, host)
    beater = _beater(ground, launcher)
    beat_now = Event()
    return Node(
        receiver=_receiver(ground, launcher, beater),
        announcer=ground.announcer,
        sender=sender,
        backlog=ground.backlog,
        launcher=launcher,
        beater=beater,
        pruner=Pruner(
            spool=spool,
            gone=ground.gone,
            clock=now,
            keep=timedelta(days=settings.keep_days),
            keep_bytes=settings.keep_bytes,
        ),
        activator=Activator(
            registry=ground.registry, plugin_d=workplace.plugin_d, on_change=beat_now.set
        ),
        beat_now=beat_now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What several parts of a node stand on."""

    settings: NodeSettings
    workplace: Workplace
    identity: NodeId
    signer: SigningKey
    sender: Sender
    spool: Spool
    registry: Registry
    orders: Orders
    announcer: Announcer
    backlog: Backlog
    gone: Seen


def _launcher(ground: _Ground, host: RunnerHost) -> Launcher:
    announcer = ground.announcer
    return Launcher(
        spool=ground.spool,
        host=host,
        orders=ground.orders,
        reports=Reports(
            node=ground.identity,
            spool=ground.spool,
            signer=ground.signer,
            clock=now,
            send=ground.sender.send,
            on_outbox=ground.sender.wake,
        ),
        backlog=ground.backlog,
        slots=ground.settings.slots,
        limits=ground.registry.limit,
        clock=now,
        on_started=announcer.started,
        on_finished=lambda reply, told: announcer.ended(reply, started=not told),
    )


def _beater(ground: _Ground, launcher: Launcher) -> Beater:
    slots = ground.settings.slots
    return Beater(
        node=ground.identity,
        software=SOFTWARE,
        signer=ground.signer,
        registry=ground.registry,
        fact_directories=ground.settings.facts,
        classes_file=ground.settings.classes,
        node_file=ground.workplace.node_file,
        load=lambda: Load(running=launcher.running, waiting=launcher.waiting, slots=slots),
        send=ground.sender.send,
        clock=now,
    )


def _receiver(ground: _Ground, launcher: Launcher, beater: Beater) -> Receiver:
    return Receiver(
        node=ground.identity,
        admission=_admission(ground, beater),
        signer=ground.signer,
        spool=ground.spool,
        orders=ground.orders,
        questions=Questions(node=ground.identity, spool=ground.spool, clock=now),
        seen=Seen(ground.settings.state / "seen", now),
        gone=ground.gone,
        inline=InlineActor(ground.identity, ground.workplace.node_file, now),
        send=ground.sender.send,
        wake_launcher=launcher.wake,
        reconsider=launcher.reconsider,
        backlog=ground.backlog,
        announcer=ground.announcer,
        clock=now,
    )


def _admission(ground: _Ground, beater: Beater) -> Admission:
    return Admission(
        node=ground.identity,
        keys=Watched(ground.settings.trust, trusted_keys).value,
        policy=Watched(ground.settings.policy, policy_in).value,
        registry=ground.registry,
        facts=beater.facts,
        classes=beater.classes,
        own_key=ground.signer.verify_key.text,
    )


def run_worker(
    settings: NodeSettings,
    host_socket: socket.socket | None = None,
    registry: Registry | None = None,
) -> int:
    """Be the node until SIGTERM or SIGINT; the exit status. Raises InvalidSetting.

    `host_socket` leads to a runner host that was forked for it; without, it starts its own.
    `registry` was read before this process was forked; without, it reads the agents itself.
    """
    set_up_logs(settings.log_level)
    setup_logging.connect(_leave_logs_alone)
    # Managing a machine takes root; Celery warns because of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    spool = Spool(settings.state / "spool")
    workplace = workplace_of(settings)
    host = RunnerHost(workplace, host_socket)
    registry = registry or for_worker(workplace)
    app = make_app(settings.broker, settings.identity)
    with closing(open_publisher(settings.broker)) as publisher:
        node = make_node(settings, registry, Sender(publisher, spool), spool, host)
        app.node = node
        take_over_control()
        loops = Loops()
        node.start(loops, settings.beat_every_s)
        worker = app.Worker(
            hostname=f"{settings.identity}@fleetjobs",
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        worker.start()
        loops.stop(within=0)
        node.launcher.wake()  # or it would wait its time out before it sees that it is to stop
        node.sender.wake()
        node.beat_now.set()
        loops.stop()
        host.stop()
    return int(worker.exitcode or 0)


def _leave_logs_alone(**_: object) -> None:
    """Celery sets logging up its own way unless somebody listens to this signal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node, or do what the first word says; the exit status."""
    parser = Parser(prog="fj node", description="Be a node of a fleet.")
    parser.add_argument("--config", type=Path, help="settings, TOML")
    words = parser.add_subparsers(dest="word", title="here, with everything else down")
    jobs = words.add_parser("jobs", help="what the disk of this node knows of its jobs")
    jobs.add_argument("--json", action="store_true", help="as JSON")
    run_file = words.add_parser("run-file", help="carry out a request in a file, and wait")
    run_file.add_argument("request", type=Path, help="agent, action and data, JSON")
    key = words.add_parser("key", help="make the node's key if it has none; print its public half")
    for word in (key, jobs, run_file):
        word.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="settings, TOML")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(NodeSettings, options.config, os.environ)
        if options.word == "key":
            return show_key(settings)
        if options.word == "jobs":
            return show_jobs(settings, as_json=options.json)
        if options.word == "run-file":
            return run_request(settings, options.request)
        return run_worker(settings)
    except Fault as fault:
        sys.stderr.write(f"fj node: {fault}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())

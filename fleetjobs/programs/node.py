"""Node: a Celery worker bound to one node's queue, with everything that makes it a node.

    python -m fleetjobs.programs.node [--config FILE]

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
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from celery.exceptions import SecurityWarning
from celery.signals import setup_logging

from fleetjobs.broker.app import make_app
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.errors import Fault
from fleetjobs.jobs import NodeId, node_id
from fleetjobs.node.admission import Admission
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.beater import Beater, Load
from fleetjobs.node.hosting import RunnerHost
from fleetjobs.node.inline import InlineActor
from fleetjobs.node.launcher import Launcher
from fleetjobs.node.receiver import Receiver
from fleetjobs.node.sender import Sender
from fleetjobs.node.watched import Watched, policy_in, trusted_keys
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.loops import Loops
from fleetjobs.programs.settings import NodeSettings, load_settings
from fleetjobs.programs.workplaces import workplace_of
from fleetjobs.registry import Registry
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool

logger = logging.getLogger(__name__)

LAUNCH_EVERY_S = 5.0  #: the launcher looks around even if nobody wakes it


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parts of a node, put together."""

    receiver: Receiver
    announcer: Announcer
    sender: Sender
    launcher: Launcher
    beater: Beater
    host: RunnerHost

    def start(self, loops: Loops, beat_every_s: float) -> None:
        """Have everything at work that does not wait for the broker."""
        self.beater.step()  # the first beat tells agents and targets what the node is
        loops.start("launcher", self._launch)
        loops.start("sender", self.sender.step)
        loops.start("beater", self.beater.step, every=beat_every_s)

    def _launch(self) -> None:
        self.launcher.step()
        self.launcher.wait(LAUNCH_EVERY_S)


def make_node(settings: NodeSettings, sender: Sender, spool: Spool, host: RunnerHost) -> Node:
    """Put the parts together. Raises InvalidSetting."""
    identity = node_id(settings.identity)
    signer = SigningKey.load(node_key_id(identity), settings.key)
    workplace = workplace_of(settings)
    registry = Registry(workplace.agents)
    announcer = Announcer()
    launcher = Launcher(
        node=identity,
        spool=spool,
        host=host,
        signer=signer,
        slots=settings.slots,
        clock=now,
        on_started=announcer.started,
        on_finished=lambda reply, told: announcer.ended(reply, started=not told),
        on_outbox=sender.wake,
    )
    beater = Beater(
        node=identity,
        software=version("fleetjobs"),
        signer=signer,
        registry=registry,
        fact_directories=settings.facts,
        classes_file=settings.classes,
        node_file=workplace.node_file,
        load=lambda: Load(running=launcher.running, waiting=launcher.waiting),
        send=sender.send,
        clock=now,
    )
    receiver = Receiver(
        node=identity,
        admission=_admission(settings, identity, registry, beater),
        signer=signer,
        spool=spool,
        seen=Seen(settings.state / "seen", now),
        inline=InlineActor(identity, workplace.node_file, now),
        send=sender.send,
        wake_launcher=launcher.wake,
        announcer=announcer,
        clock=now,
    )
    return Node(
        receiver=receiver,
        announcer=announcer,
        sender=sender,
        launcher=launcher,
        beater=beater,
        host=host,
    )


def _admission(
    settings: NodeSettings, identity: NodeId, registry: Registry, beater: Beater
) -> Admission:
    return Admission(
        node=identity,
        keys=Watched(settings.trust, trusted_keys).value,
        policy=Watched(settings.policy, policy_in).value,
        registry=registry,
        facts=beater.facts,
        classes=beater.classes,
    )


def run_worker(settings: NodeSettings, host_socket: socket.socket | None = None) -> int:
    """Be the node until SIGTERM or SIGINT; the exit status. Raises InvalidSetting.

    `host_socket` leads to a runner host that was forked for it; without, it starts its own.
    """
    set_up_logs(settings.log_level)
    setup_logging.connect(_leave_logs_alone)
    # Managing a machine takes root; Celery warns because of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    spool = Spool(settings.state / "spool")
    host = RunnerHost(workplace_of(settings), host_socket)
    app = make_app(settings.broker, settings.identity)
    with closing(open_publisher(settings.broker)) as publisher:
        node = make_node(settings, Sender(publisher, spool), spool, host)
        app.node = node
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
        loops.stop()
        host.stop()
    return int(worker.exitcode or 0)


def _leave_logs_alone(**_: object) -> None:
    """Celery sets logging up its own way unless somebody listens to this signal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node; its exit status."""
    parser = argparse.ArgumentParser(prog="fj node", description="Be a node of a fleet.")
    parser.add_argument("--config", type=Path, help="settings, TOML")
    options = parser.parse_args(arguments)
    try:
        return run_worker(load_settings(NodeSettings, options.config, os.environ))
    except Fault as fault:
        sys.stderr.write(f"fj node: {fault}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""Consumer: Celery's worker, receiving into our spool instead of its pool.

Celery connects, reconnects, declares, acknowledges, beats, and answers remote control. Only what
becomes of a task message is ours: `Consumer.create_task_handler` is the place Celery has for it.
"""

import ctypes
import gc
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.control import control_command
from celery.worker.state import maybe_shutdown

from fleetjobs.broker.app import NodeApp
from fleetjobs.broker.connections import FAILURES
from fleetjobs.errors import SpoolFull
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.backlog import PATIENCE_S
from fleetjobs.node.receiver import Receiver

logger = logging.getLogger(__name__)

EVENTS_EVERY_S = 0.5  #: how often collected events go out
FULL_PAUSE_S = 5.0  #: how long a message that finds no room waits before it is given back
RECONNECT_MAX_S = 4.0  #: the longest pause between two attempts to reach the broker


class NodeConsumer(Consumer):
    """Hands every message, whatever its task is called, to the node's receiver.

    The parts hang on the app, because Celery makes the consumer itself.
    """

    app: NodeApp
    connection: Any
    event_dispatcher: Any

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]  # untyped in Celery
        """Celery's steps without its delayed delivery: 28 queues for times that we never give."""

        default_steps = tuple(
            step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in step
        )

    def create_task_handler(self, *_args: Any, **_kwargs: Any) -> Callable[[Any], None]:
        """What Celery calls with each message."""
        receiver: Receiver = self.app.node.receiver
        announcer: Announcer = self.app.node.announcer
        self._send_events_regularly(announcer)
        own = self.app.conf.task_default_queue
        self._read_backlog(self._lying_in(own))
        _settle()
        self.app.node.beat_now.set()  # a beat now tells the fleet that we are back

        def on_message(message: Any) -> None:
            body = message.body
            raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
            named = str((message.headers or {}).get("id", ""))
            claimed = named.encode("utf-8", "replace").decode()  # we tell it when we refuse
            try:
                receiver.receive(raw, lambda: _acknowledge(message), claimed)
            except SpoolFull as full:
                logger.error("no room for %.120s: %s", claimed, full)
                self.timer.call_after(FULL_PAUSE_S, give_back, (message,))
            except Exception:  # the rim: one message must not end the worker, and come to the next
                logger.exception("%.120s cannot be taken now", claimed)
                self.timer.call_after(FULL_PAUSE_S, give_back, (message,))
            if message.delivery_info.get("routing_key") == own and self.app.node.backlog.read():
                self._begin()

        return on_message

    def _read_backlog(self, count: int) -> None:
        """Let nothing begin before so many messages were read, or it took too long."""
        self.app.node.backlog.found(count)
        if count:
            self.timer.call_after(PATIENCE_S + 0.1, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        """Have begin what waited for the backlog."""
        self.app.node.receiver.act_on_held()
        self.app.node.launcher.wake()

    def _lying_in(self, queue: str) -> int:
        """How many messages: nothing has been taken from it on this connection yet."""
        try:
            with self.connection.channel() as channel:
                return int(channel.queue_declare(queue, passive=True).message_count)
        except self.connection.channel_errors:  # it was deleted this moment, and comes anew
            return 0

    def ensure_connected(self, conn: Any) -> Any:
        """Connect with short pauses: Celery's own grow to 30 s, which delays a fleet's return."""

        def tell(error: Exception, pause: float) -> None:
            logger.warning("broker away, next try in %.0f s: %s", pause, error)

        return conn.ensure_connection(
            tell,
            interval_start=0.5,
            interval_step=0.5,
            interval_max=RECONNECT_MAX_S,
            callback=maybe_shutdown,
        )

    def _send_events_regularly(self, announcer: Announcer) -> None:
        def flush() -> None:
            for kind, fields in announcer.take():
                self.event_dispatcher.send(kind, **fields)

        self.timer.call_repeatedly(EVENTS_EVERY_S, flush)


def _acknowledge(message: Any) -> None:
    """Let the broker forget it; whoever reads from a connection that is lost notices it."""
    try:
        message.ack()
    except FAILURES as error:
        logger.warning("what was taken comes again: %s", error)


def give_back(message: Any) -> None:
    """Put it into the queue again; if the connection it came by is lost, it is there by now.

    Raised, that would count as the end of the connection that there is.
    """
    try:
        if not message.acknowledged:
            message.requeue()
    except FAILURES as error:
        logger.warning("it is in the queue again: %s", error)


def revoke(state: Any, task_id: Any, **more: Any) -> dict[str, str]:
    """End attempts by task id, as Flower's Terminate button asks for with `terminate`."""
    receiver: Receiver = state.app.node.receiver
    tasks = [task_id] if isinstance(task_id, str) else list(task_id or [])
    try:
        said = [receiver.revoke(str(task), terminate=bool(more.get("terminate"))) for task in tasks]
    except SpoolFull as full:
        return {"error": str(full)}
    return {"ok": "; ".join(said)}


def terminate(state: Any, task_id: Any, **_more: Any) -> dict[str, str]:
    """End attempts by task id, whatever signal is asked for: TERM first, KILL after 10 s."""
    return revoke(state, task_id, terminate=True)


def take_over_control() -> None:
    """Have our commands answer where Celery has its own, which know nothing of our runs.

    https://docs.celeryq.dev/en/stable/userguide/workers.html#writing-your-own-remote-control-commands
    """
    ids = "[id1 [id2 [... [idN]]]]"
    control_command(name="revoke", variadic="task_id", signature=ids)(revoke)
    control_command(
        name="terminate", variadic="task_id", args=[("signal", str)], signature=f"<signal> {ids}"
    )(terminate)


def _settle() -> None:
    """Let what a worker has by now stay, and give back what it needed on the way there.

    Searching all of it for garbage took a sixth of a query's time.
    """
    gc.freeze()
    with suppress(AttributeError):  # malloc_trim(3) is glibc's
        ctypes.CDLL(None).malloc_trim(0)

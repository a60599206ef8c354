"""Runner: carry one attempt from its claim to its sealed reply, in a process of its own."""

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from fleetjobs.crashpoints import crash_point
from fleetjobs.documents import decode, encode
from fleetjobs.errors import BrokenRun, Fault, UnknownAction, UnknownAgent
from fleetjobs.messages import Delivery, Output, Stage
from fleetjobs.node.attendance import Attendance, Attended, Child, Cut, Orphan
from fleetjobs.node.documents import as_meant
from fleetjobs.node.process import holder, is_alive
from fleetjobs.node.program import Begun, begin
from fleetjobs.node.protocols.choice import protocol_of
from fleetjobs.node.protocols.words import Asked, Task
from fleetjobs.node.replies import broken_verdict, final_reply
from fleetjobs.node.streams import Streams
from fleetjobs.node.verdict import Ending, Verdict, cancel, fail
from fleetjobs.node.workplace import Workplace
from fleetjobs.registry import Registry
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, peek
from fleetjobs.spool.attempts import Program, RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, Status

logger = logging.getLogger(__name__)

ORDER_SIGNAL = signal.SIGUSR1  #: has a runner look for an order
Outputs = tuple[Output | None, Output | None]  #: stdout, stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """What a forked process does for one run. It outlives its host and the worker."""

    workplace: Workplace
    spool: Spool
    registry: Registry
    signer: SigningKey
    clock: Callable[[], datetime]
    wakeup: int  # readable after SIGCHLD, and after the signal that there may be an order

    def start(self, key: RunKey, generation: int) -> None:
        """Claim the attempt and see it through; does nothing if it was ever claimed.

        Raises OSError or SpoolFull if the disk refuses: the launcher comes back to it.
        """
        crash_point("after_fork")
        run = self.spool.find(key)
        if run is None or run.is_settled or not run.claim(holder(os.getpid()), generation):
            return
        crash_point("after_claim")
        fence = self._stop_order(key)
        if fence is not None:
            self._settle(run, cancel(fence.why), (None, None))
            return
        try:
            asked, begun, streams = self._begin(run)
        except (Fault, OSError) as error:
            logger.warning("run %s could not begin: %s", key, error)
            self._settle(run, _not_begun(error), (None, None))
            return
        crash_point("mid_run")
        child = Child(begun.program.holder.pid)
        attendance = self._attendance(run, begun.program, child, streams)
        ending = self._attend(key, attendance)
        outputs = streams.close()
        protocol = protocol_of(begun.program.provider, self.workplace)
        ending = replace(ending, trouble=begun.trouble())
        verdict = protocol.judge(ending, protocol.read(run.path), asked, outputs[1])
        self._settle(run, verdict, outputs)

    def adopt(self, key: RunKey) -> None:
        """See an attempt through whose runner was killed; its program may still be at work.

        It is never started again. Raises OSError or SpoolFull if the disk refuses.
        """
        run = self.spool.find(key)
        if run is None or run.is_settled:
            return
        last = run.holder()
        if last is None or is_alive(last):
            return
        run.take_over(holder(os.getpid()))
        program = run.program()
        if program is None:
            fence = self._stop_order(key)
            why = "its runner was killed before the action began"
            verdict = fail(Reason.INTERRUPTED, why, Status.UNKNOWN_ERROR)
            self._settle(run, cancel(fence.why) if fence else verdict, (None, None))
            return
        streams = Streams(run.path, self.workplace.output_limit)
        attendance = self._attendance(run, program, Orphan(program.holder), streams)
        ending = self._attend(key, attendance)
        protocol = protocol_of(program.provider, self.workplace)
        reply = protocol.read(run.path)
        if not reply or isinstance(reply, str):
            attendance.end_rest()  # it was interrupted; nothing of it may meet the next attempt
            fence = self._stop_order(key)
            ending = replace(ending, stopped=fence.why if fence else "")
        outputs = streams.close()
        verdict = protocol.judge(ending, reply, self._known(run), outputs[1])
        self._settle(run, verdict, outputs)

    def _begin(self, run: RunDirectory) -> tuple[Asked, Begun, Streams]:
        """Begin the program. Raises Fault or OSError; then it has not begun."""
        accepted = run.accepted  # once: request and delivery lie in it
        request = decode(Request, peek(accepted.request))
        agent = self.registry.agent(request.agent)
        task = Task(
            agent=agent,
            action=agent.interface.action(request.action),
            request=as_meant(request, decode(Delivery, peek(accepted.delivery))),
            run=run.path,
            attempt=run.key.attempt,
            begins_at=self.clock(),
        )
        call = protocol_of(agent.provider, self.workplace).prepare(task)
        streams = Streams(run.path, self.workplace.output_limit)

        def announce(pid: int) -> Program:
            program = Program(
                holder=holder(pid),
                started_at=self.clock(),
                deadline=time.monotonic() + task.action.timeout.total_seconds(),
                provider=agent.provider,
            )
            run.announce(program)
            crash_point("after_announce")
            return program

        return task, begin(call, run.path, announce), streams

    def _attendance(
        self, run: RunDirectory, program: Program, watched: Attended, streams: Streams
    ) -> Attendance:
        return Attendance(
            watched=watched,
            program=program,
            streams=streams,
            wakeup=self.wakeup,
            mark=protocol_of(program.provider, self.workplace).mark(run.path),
            grace_s=self.workplace.grace_s,
            must_stop=lambda: self._stop_order(run.key) is not None,
        )

    def _attend(self, key: RunKey, attendance: Attendance) -> Ending:
        cut = attendance.wait()
        fence = self._stop_order(key) if cut is Cut.STOP else None
        crash_point("before_outbox")
        return Ending(
            exit_code=attendance.watched.exit_code,
            timed_out=cut is Cut.TIMEOUT,
            stopped=fence.why if fence else "",
        )

    def _stop_order(self, key: RunKey) -> Fence | None:
        """The order that the attempt has to end, if there is one."""
        fence = self.spool.fences.find(key)
        return fence if fence is not None and fence.is_stop else None

    def _known(self, run: RunDirectory) -> Asked | None:
        """What was asked for in an adopted run, if what describes it is still there."""
        try:
            request = decode(Request, peek(run.request()))
            agent = self.registry.agent(request.agent)
            return Asked(agent, agent.interface.action(request.action))
        except Fault:
            return None

    def _settle(self, run: RunDirectory, verdict: Verdict, outputs: Outputs) -> None:
        """Seal the final reply into the outbox. Raises SpoolFull."""
        stdout, stderr = outputs
        reply = final_reply(self.spool, run, self.workplace.node, verdict, self.clock())
        reply = msgspec.structs.replace(reply, stdout=stdout, stderr=stderr)
        self.spool.put_reply(run.key, Stage.FINISHED, self.signer.seal(encode(reply)))
        crash_point("after_outbox")


def _not_begun(error: Fault | OSError) -> Verdict:
    if isinstance(error, BrokenRun):
        return broken_verdict(error)
    if isinstance(error, UnknownAgent | UnknownAction):
        return fail(Reason.UNKNOWN_ACTION, str(error), Status.UNKNOWN_ACTION)
    return fail(Reason.LOAD_ERROR, str(error), Status.UNKNOWN_ERROR)

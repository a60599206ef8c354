"""Questions: answered from the node's disk, while a run is at work or long after."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.errors import Fault, NotFound
from fleetjobs.messages import Answer, Asked, LogPart, Question
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.reading import log_part, reports
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.spool import Spool

MOST_RUNS = 1000  #: in one answer; it has to fit into a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Knows the disk, and nothing else."""

    node: NodeId
    spool: Spool
    clock: Callable[[], datetime]

    def answer(self, question: Question) -> Answer:
        """What the disk says; `error` tells why it says nothing."""
        runs, log, error = [], None, ""
        job = JobId(question.job) if question.job else None
        try:
            if question.what is Asked.RUNS:
                runs = reports(self.spool, job, MOST_RUNS)
            else:
                log = self._log(question, job)
        except (Fault, OSError) as fault:
            error = str(fault)
        return Answer(
            node=self.node,
            question=question.id,
            at=self.clock(),
            runs=runs,
            log=log,
            error=error,
        )

    def _log(self, question: Question, job: JobId | None) -> LogPart:
        if job is None:
            raise NotFound("a log is of a job, and none is named")
        attempt = question.attempt or self.spool.latest(job)
        run = self.spool.find(RunKey(job, attempt))
        if run is None:
            raise NotFound(f"no attempt {attempt} of job {job} is here")
        return log_part(run, question.stream, question.offset, question.limit)

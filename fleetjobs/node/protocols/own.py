"""Own: the contract of agents/README.md."""

from pathlib import Path

import msgspec

from fleetjobs.messages import Output
from fleetjobs.node.documents import request_document
from fleetjobs.node.protocols.words import Asked, Call, Task, write_new
from fleetjobs.node.verdict import Ending, ReplyDocument, Verdict, judge
from fleetjobs.node.workplace import Workplace


class OwnProtocol:
    """Calls the agents that were written for fleetjobs."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def mark(self, run: Path) -> str:
        """See AgentProtocol."""
        return f"FLEETJOBS_REQUEST={run / 'request.json'}"

    def prepare(self, task: Task) -> Call:
        """See AgentProtocol."""
        document = request_document(
            task.request,
            node=self._workplace.node,
            attempt=task.attempt,
            action=task.action,
            deadline=task.deadline,
        )
        write_new(task.run / "request.json", msgspec.json.encode(document))
        work = task.run / "work"
        work.mkdir(mode=0o700, exist_ok=True)
        return Call(
            argv=(str(task.agent.program),) if task.agent.program else (),
            module=task.agent.module,
            environment=self._workplace.environment(task.run, task.agent.interface.name),
            directory=work,
        )

    def read(self, run: Path) -> ReplyDocument | str:
        """See AgentProtocol."""
        return ReplyDocument.read(run / "reply.json")

    def judge(
        self, ending: Ending, reply: ReplyDocument | str, asked: Asked | None, err: Output | None
    ) -> Verdict:
        """See AgentProtocol."""
        del err  # it is a log and no more
        return judge(ending, reply, asked.action if asked else None)

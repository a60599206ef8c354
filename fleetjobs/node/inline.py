"""Inline: quick queries acted on inside the worker, without spool and runner.

Only Python agents can, and only actions that declare themselves `inline`: they read, they end in
milliseconds, and a lost reply costs nothing but the question.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from fleetjobs import agent as python
from fleetjobs.interfaces import Action
from fleetjobs.layouts import Agent
from fleetjobs.messages import Reply
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.admission import Letter
from fleetjobs.node.documents import as_meant, request_document
from fleetjobs.node.replies import ended
from fleetjobs.node.verdict import ReplyDocument, Verdict, fail, judge_reply
from fleetjobs.node.watched import Watched
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import Reason, Status


class InlineActor:
    """Acts at once; keeps the agents it has loaded until their files change."""

    def __init__(self, node: NodeId, node_file: Path, clock: Callable[[], datetime]) -> None:
        self._node = node
        self._document = Watched(node_file, python.Node.read)
        self._clock = clock
        self._loaded: dict[str, tuple[Agent, type[python.Agent]]] = {}

    def __call__(self, agent: Agent, action: Action, letter: Letter) -> Reply:
        """The final reply, whatever the action does."""
        started_at = self._clock()
        delivery = letter.delivery
        request = request_document(
            as_meant(letter.request, delivery),
            node=self._node,
            attempt=delivery.attempt,
            action=action,
            deadline=started_at + action.timeout,
        )
        try:
            verdict = _judge(python.act(self._load(agent), request, self._document.value()), action)
        except python.NotLoadable as error:
            verdict = fail(Reason.LOAD_ERROR, str(error), Status.UNKNOWN_ERROR)
        except SystemExit as leaving:  # of the action; the worker stays
            why = f"left with {leaving.code or 0}"
            verdict = fail(Reason.EXIT_CODE, why)
        key = RunKey(JobId(delivery.job), delivery.attempt)
        reply = ended(key, self._node, verdict, self._clock())
        return replace(
            reply,
            generation=delivery.generation,
            accepted_at=started_at,
            started_at=started_at,
        )

    def _load(self, agent: Agent) -> type[python.Agent]:
        kept = self._loaded.get(agent.name)
        if kept is None or kept[0] is not agent:  # the registry makes a new one when files change
            if agent.module is None:
                raise python.NotLoadable(f"{agent.name} is a program; only Python can act inline")
            kept = (agent, python.load(agent.module))
            self._loaded[agent.name] = kept
        return kept[1]


def _judge(answer: Mapping[str, Any], action: Action) -> Verdict:
    """By what it replied, which nobody has looked at: it never was in a file."""
    reply = ReplyDocument.of(answer)
    if isinstance(reply, str):
        return fail(Reason.NO_REPLY, reply, Status.UNKNOWN_ERROR)
    return judge_reply(reply, action)

"""Questions to nodes, and their answers; forgotten when nobody waits for them any longer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from fleetjobs.messages import Answer, Question
from fleetjobs.names import NodeId
from fleetjobs.store.schema.fleet import questions

KEEP_QUESTIONS = timedelta(minutes=1)  #: whoever asked may look a little late


def ask(connection: Connection, asked: Sequence[Question], org: str) -> None:
    """Keep the questions until they are sent."""
    rows = [
        {
            "id": question.id,
            "org": org,
            "node": question.node,
            "document": msgspec.to_builtins(question),
            "asked_at": question.issued_at,
            "expires_at": question.expires_at,
        }
        for question in asked
    ]
    if rows:
        connection.execute(insert(questions), rows)


def questions_to_send(connection: Connection, now: datetime, limit: int) -> list[Question]:
    """Those that nobody sent yet and somebody waits for, the oldest first."""
    query = (
        select(questions.c.document)
        .where(questions.c.sent_at.is_(None), questions.c.expires_at > now)
        .order_by(questions.c.asked_at)
        .limit(limit)
    )
    return [msgspec.convert(document, Question) for document in connection.execute(query).scalars()]


def mark_asked(connection: Connection, sent: Sequence[Question], now: datetime) -> None:
    """Note that the broker has them; what it loses is not asked again."""
    statement = update(questions).where(questions.c.id == bindparam("_id")).values(sent_at=now)
    rows = [{"_id": name} for name in sorted(question.id for question in sent)]
    if rows:
        connection.execute(statement, rows)


def save_answers(connection: Connection, answers: Sequence[Answer], now: datetime) -> set[str]:
    """Keep the first answer to each question that was put to the node; which were answered."""
    answered = set()
    for answer in sorted(answers, key=lambda answer: answer.question):
        row: dict[str, Any] = {"_id": answer.question, "_node": answer.node}
        kept = {"answer": msgspec.to_builtins(answer), "answered_at": now}
        if connection.execute(_ANSWERING, row | kept).rowcount:
            answered.add(answer.question)
    return answered


_ANSWERING = (
    update(questions)
    .where(
        questions.c.id == bindparam("_id"),
        questions.c.node == bindparam("_node"),
        questions.c.answered_at.is_(None),
    )
    .values(answer=bindparam("answer"), answered_at=bindparam("answered_at"))
)


def read_answers(
    connection: Connection, ids: Sequence[str], *, org: str
) -> dict[NodeId, Answer | None]:
    """What the nodes said so far, by node; None where one was asked and said nothing yet."""
    query = select(questions.c.node, questions.c.answer).where(
        questions.c.id.in_(ids), questions.c.org == org
    )
    return {
        row.node: None if row.answer is None else msgspec.convert(row.answer, Answer)
        for row in connection.execute(query)
    }


def forget_questions(connection: Connection, now: datetime) -> int:
    """Drop those nobody waits for any longer; how many."""
    statement = delete(questions).where(questions.c.expires_at <= now - KEEP_QUESTIONS)
    return connection.execute(statement).rowcount

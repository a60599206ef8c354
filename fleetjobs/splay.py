"""Splay: the nodes of a job begin spread over some time, each always at the same place in it."""

import hashlib
from datetime import timedelta


def splay_of(name: str, node: str, most_s: float) -> timedelta:
    """How much later a node begins, from 0 up to `most_s`.

    `name` is that of the schedule, so that a node has its place each time, or else of the job.
    """
    drawn = hashlib.sha256(f"{name} {node}".encode()).digest()
    return timedelta(seconds=int.from_bytes(drawn[:7], "big") / 256**7 * most_s)

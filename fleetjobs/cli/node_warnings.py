"""Warnings of nodes: what is wrong though they live, as several commands say it."""

from collections.abc import Sequence

from fleetjobs.cli.screen import Screen, line
from fleetjobs.client.replies import Document


def tell_warnings(screen: Screen, warnings: Sequence[Document]) -> None:
    """A paragraph with a line for each; nothing if there is none."""
    if not warnings:
        return
    screen.write()
    for found in warnings:
        name = screen.paint(f"{line(found['node'])}:", "yellow")
        screen.write(f"{name} {line(found['text'])}")

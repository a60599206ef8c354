"""Options of what goes over its nodes batch after batch."""

from typing import Any

import click

from fleetjobs.cli.words import Duration
from fleetjobs.rollouts import Rollout

ROLLOUT = (
    click.option(
        "--batch",
        metavar="N|N%",
        help="So many nodes at once: the next ones begin when all of them have ended.",
    ),
    click.option("--batch-sleep", type=Duration(), metavar="DURATION", help="Between batches."),
    click.option("--canary", metavar="N|N%", help="So many nodes first, as a batch of their own."),
    click.option(
        "--max-failures",
        metavar="N|N%",
        help="Once more nodes have failed, no further one begins. Nodes that cannot be reached, "
        "and lost ones, count. By default 0.",
    ),
    click.option(
        "--order",
        metavar="listed|random|fact:NAME",
        help="Which nodes come first: as they are named, at random, or by a fact.",
    ),
    click.option("--order-seed", type=int, metavar="N", help="Always the same random order."),
    click.option(
        "--reach",
        type=Duration(),
        metavar="DURATION",
        help="A node that has not begun so long after its turn came counts as failed. By default "
        "5m.",
    ),
    click.option(
        "--by-hand",
        is_flag=True,
        help="Pause after each batch until `fj job resume`.",
    ),
)
ROLLOUT_OPTIONS = [
    "--batch", "--batch-sleep", "--canary", "--max-failures", "--order", "--order-seed", "--reach",
    "--by-hand",
]  # fmt: skip
_NAMES = {
    "batch": "batch",
    "batch_sleep": "sleep_s",
    "canary": "canary",
    "max_failures": "max_failures",
    "order": "order",
    "order_seed": "seed",
    "reach": "reach_s",
    "by_hand": "by_hand",
}


def take_rollout(given: dict[str, Any]) -> Rollout | None:
    """The rollout of a command's parameters, taken out of them; None if there is none."""
    import msgspec

    found = {name: given.pop(option) for option, name in _NAMES.items()}
    wanted = {name: value for name, value in found.items() if value not in (None, False)}
    for name in ("sleep_s", "reach_s"):
        if name in wanted:
            wanted[name] = wanted[name].total_seconds()
    if not wanted:
        return None
    for name, value in wanted.items():
        try:
            msgspec.convert({name: value}, Rollout)
        except msgspec.ValidationError:
            option = next(key for key, field in _NAMES.items() if field == name)
            raise click.BadParameter(_expected(name, value), param_hint=_flag(option)) from None
    return msgspec.convert(wanted, Rollout)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _expected(name: str, value: object) -> str:
    if name == "order":
        return f"{value!r} is no order; it is listed, random, or fact:NAME such as fact:os.name"
    if name == "reach_s":
        return "nodes need some time to begin"
    return f"{value!r} is neither a number of nodes, such as 5, nor a percentage, such as 10%"

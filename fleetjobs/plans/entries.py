"""Entries: how legs are written by hand, and the legs that they mean.

legs:
  - make_volume: {action: vm.make_volume, data: {name: web1}}
  - action: vm.start            # its key is start; it needs the leg before it
  - check:                      # a group: its legs run beside one another
      legs:
        - nginx: {action: service.status, data: {name: nginx}}
        - ssh: {action: service.status, data: {name: ssh}}
  - tell: {action: demo.echo, needs: check, start_if: completed}
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar

import msgspec

from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.complaints import complaint
from fleetjobs.plans.documents import Group, Leg, Need, Pace, Part
from fleetjobs.plans.markup import Path
from fleetjobs.states import StartIf

Json: TypeAlias = dict[str, Any]
At: TypeAlias = Callable[[Path], str]
P = TypeVar("P", bound=Part)

DEEPEST = 32  #: groups in one another
_SHARES = (
    "batch",
    "canary",
    "max_failures",
)  #: numbers or percentages, which documents have as text
_OWN = frozenset({"start_if", "pace", "ordering", "legs"})  #: words that only entries have


@dataclass(slots=True, kw_only=True)
class Entries:
    """The legs and groups of a written plan, in its order."""

    at: At
    legs: list[Leg] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)  # of each key

    def read(self, written: Any, path: Path, group: str | None = None, depth: int = 0) -> None:
        """Take a list of entries. Raises InvalidPlan naming the line and the leg."""
        if depth > DEEPEST:
            raise InvalidPlan(f"{self.at(path)}: more than {DEEPEST} groups are in one another")
        before: str | None = None
        for key, words, place in self._ordered(written, path):
            needs = self._needs(words, key, place, before if group is None else None)
            fields = {name: value for name, value in words.items() if name not in _OWN}
            fields |= {"key": key, "needs": needs}
            if group is not None:
                fields["group"] = group
            self.places.setdefault(key, place)
            if "legs" in words:
                self.groups.append(self._convert(fields, Group, key, place))
                self.read(words["legs"], (*place, "legs"), key, depth + 1)
            else:
                self._check_words(fields, Leg, key, place)
                self.legs.append(self._convert(self._action(fields, place), Leg, key, place))
            before = key

    def _ordered(self, written: Any, path: Path) -> Sequence[tuple[str, Json, Path]]:
        """The entries as they were written, or by their `ordering` where they have one."""
        found = [self._named(*entry) for entry in self._entries(written, path)]
        orders = [words.get("ordering") for _, words, _ in found]
        if all(order is None for order in orders):
            return found
        seen: dict[Any, str] = {}
        for (key, _, place), order in zip(found, orders, strict=True):
            if not isinstance(order, int) or isinstance(order, bool):
                raise InvalidPlan(f"{self.at(place)}: {key} needs a whole number as its ordering")
            if order in seen:
                raise InvalidPlan(
                    f"{self.at(place)}: {key} has the ordering {order}, as {seen[order]} has"
                )
            seen[order] = key
        return sorted(found, key=lambda entry: int(entry[1]["ordering"]))

    def _entries(self, written: Any, path: Path) -> Iterator[tuple[str | None, Any, Path]]:
        """Each entry with its key, if it has one by its place."""
        if isinstance(written, dict):
            for key, words in written.items():
                yield key, words, (*path, key)
            return
        if not isinstance(written, list) or not written:
            raise InvalidPlan(f"{self.at(path)}: legs is a list of legs, with one at least")
        for number, entry in enumerate(written):
            place = (*path, number)
            if isinstance(entry, dict) and len(entry) == 1 and "action" not in entry:
                ((key, words),) = entry.items()
                yield key, words, (*place, key)
            else:
                yield None, entry, place

    def _named(self, key: str | None, words: Any, place: Path) -> tuple[str, Json, Path]:
        if isinstance(words, str):  # `start: vm.start`
            words = {"action": words}
        if not isinstance(words, dict):
            raise InvalidPlan(f"{self.at(place)}: a leg has an action: such as action: vm.start")
        words = dict(words)
        given = words.pop("key", None)
        if key is None:
            key = given
        elif given is not None:
            raise InvalidPlan(f"{self.at(place)}: {key} has a second key, {given!r:.70}")
        if key is None and isinstance(words.get("action"), str):
            key = words["action"].rpartition(".")[2]
        if not isinstance(key, str):
            raise InvalidPlan(f"{self.at(place)}: a leg has an action, and a group a key")
        return key, words, place

    def _needs(self, words: Json, key: str, place: Path, before: str | None) -> list[Need]:
        """What the entry needs; without a word about it the one before it, if it is in no group."""
        how: Json = {"pace": words.get("pace") or Pace.NODE}
        if "start_if" in words:
            how["when"] = words["start_if"] or StartIf.ALWAYS
        self._need(
            {"leg": "any"}, how, key, place
        )  # a word that means nothing is wrong wherever it stands
        written = words.get("needs", [] if before is None else [before])
        if written is None:
            written = []
        if isinstance(written, dict) and "leg" not in written:
            written = [{"leg": leg, "when": when} for leg, when in written.items()]
        items = written if isinstance(written, list) else [written]
        return [self._need(item, how, key, (*place, "needs")) for item in items]

    def _need(self, item: Any, how: Json, key: str, place: Path) -> Need:
        if isinstance(item, str):
            leg, colon, when = item.partition(":")
            item = {"leg": leg.strip(), **({"when": when.strip()} if colon else {})}
        if not isinstance(item, dict):
            raise InvalidPlan(f"{self.at(place)}: {key} needs the keys of legs")
        return self._convert({**how, **item}, Need, key, place)

    def _action(self, fields: Json, place: Path) -> Json:
        """`action: vm.start` is an agent and its action in one word."""
        action = fields.get("action")
        if "agent" in fields and action is not None:
            return fields
        if not isinstance(action, str) or "." not in action:
            raise InvalidPlan(
                f"{self.at((*place, 'action'))}: {fields['key']}: action is written agent.action,"
                " such as vm.start"
            )
        agent, _, name = action.partition(".")
        return {**fields, "agent": agent, "action": name}

    def _convert(self, words: Json, kind: type[P], key: str, place: Path) -> P:
        """The words as a part of a plan. Raises InvalidPlan naming line and leg."""
        self._check_words(words, kind, key, place)
        try:
            return msgspec.convert(_plain(words), kind)
        except msgspec.ValidationError as error:
            steps, text = complaint(error)
            name = f"{'.'.join(steps)} " if steps else ""
            raise InvalidPlan(f"{self.at((*place, *steps))}: {key}: {name}{text}") from None

    def _check_words(self, words: Json, kind: type[Part], key: str, place: Path) -> None:
        known = [part.encode_name for part in msgspec.structs.fields(kind)]
        for name in words:
            if name not in known:
                close = get_close_matches(name, [*known, *_OWN], n=1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
                raise InvalidPlan(f"{self.at((*place, name))}: {key} has no {name[:70]!r}{hint}")


def _plain(words: Mapping[str, Any]) -> Json:
    """With shares as text, targets at length, and nothing for what was left empty."""
    found = {name: value for name, value in words.items() if value is not None or name == "needs"}
    for name in _SHARES:
        if isinstance(found.get(name), int) and not isinstance(found[name], bool):
            found[name] = str(found[name])
    if isinstance(found.get("rollout"), dict):
        found["rollout"] = _plain(found["rollout"])
    if isinstance(found.get("rollback_to"), str):
        found["rollback_to"] = [found["rollback_to"]]
    if isinstance(found.get("target"), dict):
        found["target"] = plain_target(found["target"])
    return found


def plain_target(written: Mapping[str, Any]) -> Json:
    """A target with its lists at length: `classes: web`, `facts: {os.name: Debian}`."""
    found = dict(written)
    if isinstance(found.get("facts"), dict):
        found["facts"] = [f"{name}={_word(value)}" for name, value in found["facts"].items()]
    for name in ("identities", "facts", "classes", "agents"):
        if isinstance(found.get(name), str):
            found[name] = [found[name]]
    if isinstance(found.get("limit"), int) and not isinstance(found["limit"], bool):
        found["limit"] = str(found["limit"])
    return found


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

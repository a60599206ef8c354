"""Templates: a handle on one, and many that are handed in at once."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fleetjobs.client.asking import JSON, send, utc_now
from fleetjobs.client.conditions import AT_ONCE, Conditions, Moment, make_conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job, new_id
from fleetjobs.client.plans import PlanJob
from fleetjobs.client.replies import Document
from fleetjobs.errors import InvalidPlan
from fleetjobs.targets import Target
from fleetjobs.templates.documents import File, Files

TEMPLATES = "templates"


class Template:
    """A plan, or a single action, that the server keeps under a label."""

    def __init__(self, fleet: Fleet, document: Document) -> None:
        """The template of that document; `find` asks for one."""
        self._fleet = fleet
        self.document = document

    @classmethod
    def find(cls, fleet: Fleet, name: str, version: int | None = None) -> "Template":
        """By label or id; the newest version, unless another is meant. Raises Problem (404)."""
        query = [] if version is None else [("version", version)]
        return cls(fleet, fleet.transport.get(TEMPLATES, name, query=query))

    def __repr__(self) -> str:
        return f"<Template {self.label} version {self.version}>"

    @property
    def label(self) -> str:
        """What it is called."""
        return str(self.document["label"])

    @property
    def version(self) -> int:
        """Which of its versions this is."""
        return int(self.document["version"])

    def versions(self) -> list[Document]:
        """All its versions, the newest first."""
        name, found, before = str(self.document["id"]), [], None
        while True:
            query: list[tuple[str, Any]] = [("before", before)] if before else []
            page = self._fleet.transport.get(TEMPLATES, name, "versions", query=query)
            found += page["items"]
            before = page["next"]
            if not before:
                return found

    def check(self, params: Mapping[str, Any], target: Target | None = None) -> Document:
        """What running it would come to; nothing is kept. Raises Problem."""
        name = str(self.document["id"])
        found: Document = self._fleet.tell(TEMPLATES, name, "validate", wish=_wish(params, target))
        return found

    def run(
        self,
        *,
        at: Moment | None = None,
        start_before: Moment | None = None,
        target: Target | None = None,
        **params: Any,
    ) -> Job:
        """Ask for its job once, in this version; a PlanJob if it is a plan.

        Raises Problem, ServerAway, InvalidTime.
        """
        conditions = make_conditions(utc_now(), at=at, start_before=start_before)
        return self.ask(params, conditions, target=target, version=self.version)

    def ask(
        self,
        params: Mapping[str, Any],
        conditions: Conditions = AT_ONCE,
        *,
        target: Target | None = None,
        version: int | None = None,
        priority: int | None = None,
        name: str | None = None,
    ) -> Job:
        """The same with values in a mapping; `version` None: whichever is the newest then.

        `priority` None: as the template says.

        Sent again for a few seconds while the server is away: the id, `name`, is the same.
        """
        if conditions.after or conditions.retries is not None or conditions.keep:
            raise InvalidPlan("a template waits for no other job, and is not kept for ever")
        wish = _wish(params, target) | {"id": name or new_id()}
        for key in ("not_before", "start_before"):
            moment = getattr(conditions, key)
            if moment is not None:
                wish[key] = moment
        if priority is not None:
            wish["priority"] = priority
        if version is not None:
            wish["version"] = version
        body = msgspec.json.encode(wish)
        path = (TEMPLATES, str(self.document["id"]), "run")
        found = send(self._fleet, *path, body=body, content_type=JSON)
        return (PlanJob if found["kind"] == "plan" else Job)(self._fleet, found)


def _wish(params: Mapping[str, Any], target: Target | None) -> dict[str, Any]:
    wish: dict[str, Any] = {"params": dict(params)}
    return wish if target is None else wish | {"target": msgspec.to_builtins(target)}


def apply_files(fleet: Fleet, files: Iterable[File], **terms: Any) -> Document:
    """Hand all of them in: `level`, `duplicates`, `ids`, `dry_run`. Raises Problem."""
    wish = msgspec.to_builtins(Files(files=tuple(files), **terms))
    return fleet.tell(TEMPLATES, "apply", wish=wish)

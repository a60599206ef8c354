"""Rights at the desk: what accounts may do, remembered until any of it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from fleetjobs.access import Verb
from fleetjobs.errors import Denied, Unauthentic
from fleetjobs.names import JobId, NodeId
from fleetjobs.nodes import Node
from fleetjobs.signing import VerifyKey, account_key_id, claimed_key_id, unseal
from fleetjobs.store.denials import Start
from fleetjobs.store.epochs import RIGHTS, read_epoch
from fleetjobs.store.grants import Standing, read_standing
from fleetjobs.store.handovers import Handover
from fleetjobs.store.jobs import read_sealed
from fleetjobs.store.nodes import list_nodes

_SHOWN = 5  #: nodes an error names at most


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What an account may, of one action in one org."""

    standing: Standing | None
    why: str | None  # it may not
    asks_nodes: bool  # it depends on the node

    @property
    def is_plain(self) -> bool:
        """Whether it may, wherever and whenever it was asked for."""
        return (
            self.why is None
            and not self.asks_nodes
            and self.standing is not None
            and self.standing.key_changed_at is None
        )


@dataclass(slots=True)
class Register:
    """Accounts by name, as of one epoch; safe from any thread.

    A look at it costs one query, of one row; what it knows is forgotten when any right changes.
    Not for transactions that change rights themselves: they may be rolled back.
    """

    _page: tuple[int, dict[str, Standing | None]] = (-1, {})
    _keys: dict[tuple[JobId, str | None], bool] = field(default_factory=dict)

    def check(
        self,
        connection: Connection,
        verb: Verb,
        action: str,
        *,
        caller: str,
        org: str,
        nodes: Sequence[NodeId] = (),
    ) -> None:
        """Let the caller pass who may do that to `agent.action` on all these nodes.

        Raises Denied.
        """
        standing = self._known(connection, caller)
        if standing is None:
            raise Denied(f"there is no account {caller[:128]!r}")
        rights = standing.rights
        why = rights.refusal(verb, action, org=org)
        if why is not None:
            raise Denied(why)
        if not rights.asks_nodes(verb, action):
            return
        found = _facts_of(connection, nodes)
        refused = [
            (node, why)
            for node in nodes
            if (why := rights.refusal(verb, action, found.get(node))) is not None
        ]
        if refused:
            others = [node for node, _ in refused[1:_SHOWN]]
            more = f"; nor on {', '.join(others)}" if others else ""
            raise Denied(refused[0][1] + more + (", …" if len(refused) > _SHOWN else ""))

    def is_narrowed(self, connection: Connection, account: str) -> bool:
        """Whether anything but its role says what the account may do."""
        standing = self._known(connection, account)
        return standing is None or bool(standing.rights.grants)

    def refusals(
        self,
        connection: Connection,
        starts: Sequence[Start | Handover],
        *,
        epoch: int | None = None,
    ) -> dict[tuple[JobId, NodeId], str]:
        """Those of the runs whose caller may no longer run them, and why not.

        `epoch`: the present one, if it was read already.
        """
        page = self._turn(connection, epoch)
        refused: dict[tuple[JobId, NodeId], str] = {}
        decided: dict[tuple[str, str, str], _Decision] = {}
        unsure: list[tuple[Start | Handover, Standing]] = []
        for start in starts:
            asked = (start.caller, start.task, start.org)
            decision = decided.get(asked)
            if decision is None:
                decision = decided[asked] = self._decide(connection, page, *asked)
            if decision.is_plain:
                continue
            why, standing = decision.why, decision.standing
            changed = None if standing is None else standing.key_changed_at
            if why is None and changed is not None and start.created_at < changed:
                why = self._outdated(connection, start, standing)
            if why is not None:
                refused[start.job, start.node] = why
            elif standing is not None and decision.asks_nodes:
                unsure.append((start, standing))
        found = _facts_of(connection, [start.node for start, _ in unsure])
        for start, standing in unsure:
            why = standing.rights.refusal(Verb.RUN, start.task, found.get(start.node))
            if why is not None:
                refused[start.job, start.node] = why
        return refused

    def _decide(
        self,
        connection: Connection,
        page: dict[str, Standing | None],
        caller: str,
        task: str,
        org: str,
    ) -> "_Decision":
        """What holds for all runs of that action that the caller asked for."""
        standing = page.get(caller) or self._look_up(connection, page, caller)
        if standing is None:
            return _Decision(standing=None, why=f"there is no account {caller!r}", asks_nodes=False)
        rights = standing.rights
        return _Decision(
            standing=standing,
            why=rights.refusal(Verb.RUN, task, org=org),
            asks_nodes=rights.asks_nodes(Verb.RUN, task),
        )

    def _outdated(
        self, connection: Connection, start: Start | Handover, standing: Standing | None
    ) -> str | None:
        """Why what was signed before the caller's key changed does not count; None: it does."""
        key = None if standing is None else standing.verify_key
        asked = (start.root or start.job, key)
        if asked not in self._keys:
            sealed = read_sealed(connection, start.root or start.job) or ""
            self._keys[asked] = _is_valid(sealed, start.caller, key)
        if self._keys[asked]:
            return None
        return f"{start.caller} signed it with a key that is no longer theirs"

    def _known(self, connection: Connection, account: str) -> Standing | None:
        page = self._turn(connection)
        return page.get(account) or self._look_up(connection, page, account)

    def _turn(self, connection: Connection, epoch: int | None = None) -> dict[str, Standing | None]:
        """What is known as of the present epoch; a transaction that is behind writes nowhere."""
        epoch = read_epoch(connection, RIGHTS) if epoch is None else epoch
        page = self._page
        if page[0] != epoch:
            page = (epoch, {})
            if epoch > self._page[0]:
                self._page, self._keys = page, {}
        return page[1]

    def _look_up(
        self, connection: Connection, page: dict[str, Standing | None], account: str
    ) -> Standing | None:
        found = page[account] = read_standing(connection, account)
        return found


def _facts_of(connection: Connection, nodes: Sequence[NodeId]) -> Mapping[str, Node]:
    if not nodes:
        return {}
    found = list_nodes(connection, None, identities=sorted(set(nodes)))
    return {node.identity: node for node in found}


def _is_valid(sealed: str, caller: str, key: str | None) -> bool:
    """Whether what the caller signed bears the signature of that key."""
    kid = account_key_id(caller)
    try:
        if claimed_key_id(sealed) != kid:
            return True  # the server speaks for them, and does so still
        unseal(sealed, {} if key is None else {kid: VerifyKey.from_text(key)})
    except Unauthentic:
        return False
    return True

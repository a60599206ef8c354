"""Registry: the agents on this machine, found by their interface files."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock

from fleetjobs.dialects import FOREIGN
from fleetjobs.errors import Fault, UnknownAction, UnknownAgent
from fleetjobs.layouts import Agent, Place, Stamp, foreign_places, own_places

logger = logging.getLogger(__name__)

REST_S = 5.0  #: an interface of others that was written later than that is not looked at yet
SKEW_S = 60.0  #: what is further in the future than that was not written just now
UNASKED = "it was not asked yet whether it wants to be here"


class Registry:
    """The agents in some directories; where two have the same name, the later directory's."""

    def __init__(
        self,
        directories: Sequence[Path],
        libdirs: Sequence[Path] = (),
        *,
        clock: Callable[[], datetime] | None = None,
        asks: bool = False,
        installed: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        """Look for agents; see `refused` for those that cannot be taken.

        `installed` gives more directories, of packages; ours and the owner's win over those.
        With a clock, others' interfaces have to rest before they are read. `asks`: external
        agents count only once `settle` said that they want to be here.
        """
        self._directories = tuple(directories)
        self._libdirs = tuple(libdirs)
        self._clock = clock
        self._asks = asks
        self._installed = installed
        self._lock = Lock()
        self._stamps: dict[Place, Stamp] = {}
        self._read: dict[Place, Agent] = {}  # as it is on disk
        self._settled: dict[Place, Agent] = {}  # of those asked: the last that wanted to be here
        self._unread: dict[Place, str] = {}
        self._unwilling: dict[Place, tuple[Agent, str]] = {}
        self._agents: dict[str, Agent] = {}
        self._refused: dict[str, str] = {}
        self.revision = 0  # grows when there is anything new
        self.refresh()

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name."""
        return self._agents

    @property
    def refused(self) -> Mapping[str, str]:
        """Why there is no agent, by its name."""
        return self._refused

    @property
    def asked(self) -> Sequence[Agent]:
        """The agents that have to be asked whether they want to be here, the refused ones too."""
        return [agent for agent in self._read.values() if self._must_settle(agent)]

    def agent(self, name: str) -> Agent:
        """The agent of that name. Raises UnknownAgent, listing what there is."""
        try:
            return self._agents[name]
        except KeyError:
            known = ", ".join(sorted(self._agents)) or "none"
            why = f": {self._refused[name]}" if name in self._refused else ""
            raise UnknownAgent(f"no agent {name!r:.70} here{why}; there are: {known}") from None

    def limit(self, task: str) -> int | None:
        """How many of `agent.action` may be at work at once; None: as many as there are slots."""
        agent, _, action = task.partition(".")
        try:
            return self.agent(agent).interface.action(action).max_parallel
        except (UnknownAgent, UnknownAction):
            return None

    def settle(self, agent: Agent, why: str) -> None:
        """Note whether an agent wants to be here: why not, or nothing."""
        with self._lock:
            for place, read in self._read.items():
                if read is not agent:
                    continue
                if why:
                    self._settled.pop(place, None)
                    self._unwilling[place] = (agent, why)
                else:
                    self._settled[place] = agent
                    self._unwilling.pop(place, None)
            self._conclude()

    def refresh(self) -> bool:
        """Look at the files again, read those that changed; whether any did. A few stats each.

        While we lack what it takes to look, what is known stays.
        """
        try:
            return self._look_around()
        except OSError as error:
            logger.error("agents cannot be looked at now: %s", error.strerror)
            return False

    def _look_around(self) -> bool:
        with self._lock:
            stamps = {place: place.stamp() for place in self._places()}
            if stamps == self._stamps:
                return False
            read, unread, before = {}, {}, self._stamps
            for place, stamp in list(stamps.items()):
                if stamp == before.get(place) and place in self._read:
                    read[place] = self._read[place]
                    continue
                found = self._look(place)
                if isinstance(found, Agent):
                    read[place] = found
                elif found:
                    unread[place] = found
                else:  # it is not at rest: what was there before counts
                    del stamps[place]
                    if place in self._read:
                        read[place] = self._read[place]
            is_new = (read, unread) != (self._read, self._unread) or stamps != before
            self._stamps, self._read, self._unread = stamps, read, unread
            self._settled = {p: agent for p, agent in self._settled.items() if p in read}
            self._conclude()
            return is_new

    def _places(self) -> Iterator[Place]:
        for directory in (*self._installed(), *self._directories):
            yield from own_places(directory)
        for libdir in self._libdirs:
            yield from foreign_places(libdir)

    def _look(self, place: Place) -> Agent | str | None:
        """The agent, or why there is none; None while somebody is still writing it."""
        rests = self._rests(place)
        if place.is_foreign and not rests:
            return None
        try:
            agent = place.read()
        except Fault as fault:
            return str(fault)
        if agent.provider in FOREIGN and not rests:
            return None
        for what in agent.interface.left_out:
            logger.warning("agent %s: left out: %s", agent.name, what)
        return agent

    def _rests(self, place: Place) -> bool:
        if self._clock is None:
            return True
        age = self._clock().timestamp() - place.rested_since()
        return not -SKEW_S <= age < REST_S  # from the future: a clock was wrong

    def _must_settle(self, agent: Agent) -> bool:
        return self._asks and agent.is_asked

    def _conclude(self) -> None:
        """Say anew what there is; a changed agent stays as it was until it has been asked."""
        agents: dict[str, Agent] = {}
        refused = {place.name: why for place, why in self._unread.items()}
        for place, agent in self._read.items():
            unwilling, why = self._unwilling.get(place, (None, UNASKED))
            if not self._must_settle(agent):
                agents[agent.name] = agent
            elif unwilling is agent:
                refused[agent.name] = why
            elif place in self._settled:
                agents[agent.name] = self._settled[place]
            else:
                refused[agent.name] = UNASKED
        if (agents, refused) != (self._agents, self._refused):
            self.revision += 1
        self._agents, self._refused = agents, refused

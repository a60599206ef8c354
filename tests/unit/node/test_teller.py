"""The teller: passes on what is new of runs' progress, and not too often."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fleetjobs.messages import RunHeadway
from fleetjobs.node.teller import EVERY_S, TEXT_MOST, Teller
from fleetjobs.spool.attempts import RunDirectory
from fleetjobs.spool.spool import Spool
from tests.workbench import make_key, now, seal_run


@dataclass
class Scene:
    """A teller, the time it goes by, and what it told."""

    spool: Spool
    tick: float = 100.0
    told: list[list[RunHeadway]] = field(default_factory=list)
    teller: Teller = field(init=False)

    def __post_init__(self) -> None:
        self.teller = Teller(self._note, lambda: self.tick)

    def _note(self, runs: Sequence[RunHeadway]) -> None:
        self.told.append(list(runs))

    def begin(self) -> RunDirectory:
        """A run."""
        key = make_key()
        delivery, request = seal_run(key)
        return self.spool.add(key, delivery=delivery, request=request, accepted_at=now())

    def look(self, *runs: RunDirectory, after: float = EVERY_S) -> list[float | None]:
        """What is told of these runs so many seconds later, in percent."""
        self.tick += after
        self.told.clear()
        self.teller.step(runs)
        return [run.progress.percent for batch in self.told for run in batch]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(Spool(tmp_path))


def say(run: RunDirectory, line: str) -> None:
    """The program tells something."""
    with (run.path / "progress").open("a") as file:
        file.write(line + "\n")


def test_only_what_is_new_is_told(scene: Scene) -> None:
    run = scene.begin()

    assert scene.look(run) == []
    say(run, '{"percent": 10, "text": "begun"}')
    assert scene.look(run) == [10]
    assert scene.look(run) == []
    say(run, '{"percent": 20}')
    say(run, '{"percent": 30}')
    assert scene.look(run) == [30]
    say(run, '{"percent": 30}')
    assert scene.look(run) == []


def test_runs_are_told_of_together_and_no_more_often_than_every_two_seconds(scene: Scene) -> None:
    one, other = scene.begin(), scene.begin()
    say(one, '{"percent": 1}')
    say(other, '{"percent": 2}')

    assert scene.look(one, other) == [1, 2]
    assert len(scene.told) == 1
    say(one, '{"percent": 3}')
    assert scene.look(one, other, after=EVERY_S / 2) == []
    assert scene.look(one, other, after=EVERY_S / 2) == [3]


def test_what_takes_an_hour_is_told_of_every_minute(scene: Scene) -> None:
    run = scene.begin()
    scene.look(run)
    say(run, '{"percent": 1}')
    assert scene.look(run, after=3600) == [1]

    say(run, '{"percent": 2}')

    assert scene.look(run, after=60) == []
    assert scene.look(run, after=15) == [2]


@pytest.mark.parametrize("line", ["no JSON", "[]", '{"percent": 101}', '{"percent": "9"}', "\0"])
def test_what_cannot_be_read_is_not_told(scene: Scene, line: str) -> None:
    run = scene.begin()

    say(run, line)

    assert scene.look(run) == []


def test_long_texts_are_cut(scene: Scene) -> None:
    run = scene.begin()

    say(run, f'{{"text": "{"x" * 4000}"}}')

    assert scene.look(run) == [None]
    assert len(scene.told[0][0].progress.text) == TEXT_MOST


def test_a_directory_in_the_files_place_harms_nobody(scene: Scene) -> None:
    run, other = scene.begin(), scene.begin()
    (run.path / "progress").mkdir()
    say(other, '{"percent": 5}')

    assert scene.look(run, other) == [5]

"""The coordinator as a program: pruning by hand, and what it says of wrong settings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetjobs.cli.main import run
from fleetjobs.jobs import Job
from fleetjobs.programs.coordinator import main
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from tests.makers import add_org, keep_job

LONG_AGO = datetime.now(UTC) - timedelta(days=400)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A coordinator's settings, and its database with an old job and a new one."""
    path = tmp_path / "coordinator.toml"
    SigningKey.generate(COORDINATOR).save(tmp_path / "key.pem")
    path.write_text(
        f'broker = "redis://127.0.0.1"\ndatabase = "{url(tmp_path)}"\nkey = "key.pem"\n'
    )
    return path


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """One that ended long ago, one that ended now."""
    database = Database.open(url(tmp_path))
    database.migrate()
    add_org(database)
    ended = [
        keep_job(database, "web1", state=State.SUCCEEDED, created_at=at, ended_at=at)
        for at in (LONG_AGO, datetime.now(UTC))
    ]
    database.close()
    return ended


def url(directory: Path) -> str:
    return f"sqlite:///{directory / 'fleetjobs.sqlite'}"


def there(directory: Path, jobs: list[Job]) -> list[bool]:
    """Which of them are there."""
    database = Database.open(url(directory))
    with database.reading() as connection:
        found = [get_job(connection, job.id, org=None) is not None for job in jobs]
    database.close()
    return found


def test_a_dry_run_names_what_a_prune_forgets(
    config: Path, jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", "--dry-run", "--config", str(config)]) == 0
    assert capsys.readouterr().out == f"{jobs[0].id}\n"
    assert there(tmp_path, jobs) == [True, True]

    assert main(["prune", "--config", str(config)]) == 0
    assert there(tmp_path, jobs) == [False, True]

    assert main(["prune", "--dry-run", "--config", str(config)]) == 0
    assert capsys.readouterr().err.endswith("no jobs are old enough to be forgotten\n")


@pytest.mark.parametrize("words", [("prune", "--dry-run", "--config", "x.toml"), ("prune",)])
def test_the_command_line_leads_to_it(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("fleetjobs.cli.programs.execv", lambda _, argv: became.append(argv))

    run(["coordinator", *words])

    assert became[0][1:] == ["-P", "-m", "fleetjobs.programs.coordinator", *words]

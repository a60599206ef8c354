"""The page of other schedulers' verbs: each has a counterpart that is there."""

import json
import re
from pathlib import Path

import pytest

from fleetjobs.cli.main import run

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| (?P<verbs>.+?) \| `(?P<method>[A-Z]+) (?P<path>/\S+)` \| (?:`fj (?P<fj>.+?)`)?"
)
ROWS = [
    found
    for line in (ROOT / "docs/verbs.md").read_text().splitlines()
    if (found := ROW.match(line)) is not None
]
TASKOMATIC = {
    *("one", "listBunches", "listSatBunches", "lookupBunchByName", "scheduleBunch"),
    *("scheduleSatBunch", "unscheduleBunch", "scheduleSingleBunchRun", "listActiveSchedules"),
    *("listAllSchedules", "lookupScheduleById", "lookupScheduleByLabel", "listScheduleRuns"),
    *("listBunchSatRuns", "getRunStdOutputLog", "getRunStdErrorLog"),
    "reinitializeAllSchedulesFromNow",
}


@pytest.mark.spec("S2-36")
def test_each_verb_has_its_endpoint() -> None:
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]

    for row in ROWS:
        assert row["method"].lower() in paths[f"/api/v1{row['path']}"], row[0]


@pytest.mark.spec("S2-36")
def test_no_verb_of_taskomatic_is_left_out() -> None:
    said = {verb for row in ROWS for verb in re.findall(r"`(\w+)`", row["verbs"])}

    assert said >= TASKOMATIC


@pytest.mark.spec("S2-36")
def test_each_verb_has_its_command(capfd: pytest.CaptureFixture[str]) -> None:
    commands = {row["fj"] for row in ROWS if row["fj"]}

    for command in sorted(commands):
        assert run([*command.split(), "--help"]) == 0, command
        assert f"fj {command}" in capfd.readouterr().out.replace("usage: ", "")

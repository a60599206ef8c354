"""`make demo` shows what it says."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_shows_a_fleet_at_work_and_ends(tmp_path: Path) -> None:
    settings = {
        "DEMO_ONCE": "1",
        "DEMO_PORT": "0",
        "DEMO_FLOWER_PORT": "0",
        "DEMO_STATE": str(tmp_path),
        "FJ": str(Path(sys.executable).with_name("fj")),
    }

    shown = subprocess.run(
        [ROOT / "tools" / "demo"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "3 nodes: 3 ok" in shown.stdout
    assert "Version: " in shown.stdout

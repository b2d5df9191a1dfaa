"""The script behind `make report`: from nothing to the page, and once more without running a cell again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hup import SimulatorConfig, simulate

QUICK = {
    "SIZES": "80 160",
    "SEEDS": "1",
    "TUNING": "1",
    "MODELS": "hup,rib,recency,popularity",
    "SETTINGS": "training.epochs=1 network.hidden=6 embeddings.skipgram_epochs=1",
}


@pytest.mark.slow
def test_the_report_is_made_by_one_command_and_made_again_at_once(root, tmp_path):
    log = tmp_path / "another.parquet"
    simulate(SimulatorConfig(sessions=120, items=60, mean_events=12, seed=2), log, format="events")
    environment = (
        os.environ | QUICK | {"TABLES": str(log), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    )

    def run() -> str:
        command = [str(root / "scripts" / "report.sh"), str(tmp_path / "report")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return (tmp_path / "report" / "report.html").read_text()

    page = run()
    for wanted in ("Table 2", "Table 3", "Learning curves", "Figure 6", "Rank of the ground truth", "another"):
        assert wanted in page
    cells = sorted((tmp_path / "report").glob("*/cells/**/cell.json"))
    before = [path.stat().st_mtime_ns for path in cells]
    assert cells
    run()
    assert [path.stat().st_mtime_ns for path in cells] == before


def test_a_table_that_is_no_file_is_named_before_anything_is_run(root, tmp_path):
    command = [str(root / "scripts" / "report.sh"), str(tmp_path / "report")]
    done = subprocess.run(
        command, env=os.environ | {"TABLES": "none.csv=rees46"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "TABLES names none.csv, which is no file; expected FILE or FILE=MAPPING" in done.stderr
    assert not (tmp_path / "report").exists()

"""The script behind `make report`: from nothing to the page, and once more without running a cell again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUICK = {
    "SIZES": "80 160",
    "SEEDS": "1",
    "TUNING": "1",
    "MODELS": "hup,rib,recency,popularity",
    "SETTINGS": "training.epochs=1 network.hidden=6 embeddings.skipgram_epochs=1",
}


@pytest.mark.slow
def test_the_report_is_made_by_one_command_and_made_again_at_once(root, tmp_path):
    environment = os.environ | QUICK | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run() -> str:
        command = [str(root / "scripts" / "report.sh"), str(tmp_path / "report")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return (tmp_path / "report" / "report.html").read_text()

    page = run()
    for wanted in ("Table 2", "Table 3", "Learning curves", "Figure 6", "Rank of the ground truth"):
        assert wanted in page
    cells = sorted((tmp_path / "report").glob("*/cells/**/cell.json"))
    before = [path.stat().st_mtime_ns for path in cells]
    assert cells
    run()
    assert [path.stat().st_mtime_ns for path in cells] == before

"""Sweeps: a row for every value, of one seed each or more, and the key's complement."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import hup
from hup.cli import app
from hup.experiment import compare, sweep
from hup.recommender.kinds import load

from .conftest import QUICK

pytestmark = pytest.mark.usefixtures("in_one_process")


def test_the_trade_off_is_the_default(dataset, tmp_path):
    results = sweep(dataset.path, tmp_path / "run", values=[0.1, 0.75], seeds=2, overrides=QUICK, jobs=2)
    names = ["loss.lambda_item=0.1", "loss.lambda_item=0.75"]
    assert [row.row for row in results.rows] == names
    assert results.swept == {
        "key": "loss.lambda_item",
        "complement": "loss.lambda_category",
        "values": [0.1, 0.75],
        "rows": names,
    }
    for row, item in zip(results.rows, (0.1, 0.75), strict=True):
        assert row.failed is None
        assert row.seeds == (0, 1)
        assert row.levels.keys() == {"item", "category_2", "category_1"}
        loss = load(tmp_path / "run" / "models" / row.row / "seed-1").config.loss
        assert (loss.lambda_item, loss.lambda_category) == (item, 1 - item)


def test_a_value_is_what_a_grid_of_it_alone_finds(dataset, tmp_path):
    swept = sweep(dataset.path, tmp_path / "a", key="network.hidden", values=[4, 6], seeds=1, overrides=QUICK, jobs=1)
    alone = compare(dataset.path, tmp_path / "b", models=["hup"], seeds=1, tuning=1, overrides=QUICK, jobs=1)
    assert swept.rows[1].levels == alone.rows[0].levels  # QUICK has 6 hidden units


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"key": "network.width", "values": [1]}, "no configuration key network.width"),
        ({"key": "network.hidden", "values": [0.5]}, "network.hidden"),
        ({"values": []}, "No value"),
        ({"values": [0.5, 0.5]}, "stands twice in 0.5, 0.5"),
        ({"preset": "magic"}, "no preset 'magic'"),
    ],
)
def test_a_wrong_question_is_told(dataset, tmp_path, asked, message):
    with pytest.raises(hup.HupError, match=message):
        sweep(dataset.path, tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


def test_the_command_prints_a_line_a_value(dataset, tmp_path):
    sets = [part for override in QUICK for part in ("--set", override)]
    arguments = ["sweep", str(dataset.path), "--values", "0.2, 0.8", "--seeds", "1", "--jobs", "1", *sets]
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, [*arguments, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    for expected in ("loss.lambda_item", "0.2", "0.8", "Recall@20", "MRR@5", "category_1"):
        assert expected in done.stdout
    wrong = CliRunner().invoke(app, ["sweep", str(dataset.path), "--values", "0.2,much", "--out", str(tmp_path / "x")])
    assert wrong.exit_code == 2

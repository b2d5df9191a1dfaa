"""``hup info`` on datasets, models and what is neither."""

import json

import pytest
from typer.testing import CliRunner

from hup.cli import app
from hup.data.prepare import prepare


def run(*arguments):
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


@pytest.fixture
def dataset(tmp_path):
    files = []
    for number in range(12):
        files.append(tmp_path / f"log[{number}].txt")
        files[-1].write_text("a+1+x+1+1 b+1+[bold]+1+1\n" * 50)
    return prepare(files, out=tmp_path / "out")


def test_tables(dataset):
    result = run(dataset.path)
    assert result.exit_code == 0, result.output
    for part in (
        "600",
        "1,200",
        "Home2Product",
        "log[0].txt",
        "… and 2 more",
        "Split by time order",
        dataset.fingerprint,
    ):
        assert part in result.stdout
    assert "Rejects" not in result.stdout


def test_json_is_the_manifest(dataset):
    result = run(dataset.path, "--json")
    assert json.loads(result.stdout) == json.loads((dataset.path / "manifest.json").read_text())


MODEL = {"format_version": 1, "model": "hup"}


def test_model_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**MODEL, "network": {"hidden": 100}}))
    (tmp_path / "model.safetensors").touch()
    assert "network.hidden" in run(tmp_path).stdout
    (tmp_path / "metrics.json").write_text(json.dumps({"validation": {"recall@20": 0.25}}))
    assert "validation.recall@20" in run(tmp_path).stdout
    assert json.loads(run(tmp_path, "--json").stdout) == {
        "config": {**MODEL, "network": {"hidden": 100}},
        "metrics": {"validation": {"recall@20": 0.25}},
    }
    (tmp_path / "metrics.json").write_text("{")
    assert run(tmp_path).exit_code == 1


def test_neither(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "neither a dataset folder" in result.stderr


def test_a_training_that_has_not_finished_is_told(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "--resume" in result.stderr

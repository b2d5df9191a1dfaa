"""``hup prepare`` on event tables from the command line."""

from __future__ import annotations

import numpy as np
import pytest

from hup.data.dataset import Dataset

HEADER = "who,what,when,did,shelf"
MAPPING = """
[tables]
user = "who"
item = "what"
timestamp = "when"
behavior = "did"

[categories]
column = "shelf"
delimiter = "/"
"""


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "mapping.toml").write_text(MAPPING)
    for name, start in (("monday.csv", 0), ("tuesday.csv", 86_400)):
        rows = [f"u{n % 3},i{n % 7},{1_700_000_000 + start + 60 * n},look,a/b{n % 2}" for n in range(30)]
        (tmp_path / name).write_text("\n".join((HEADER, *rows)) + "\n")
    return tmp_path


def test_prepare_then_append(invoke, shop):
    done = invoke("prepare", shop / "monday.csv", "--map", shop / "mapping.toml", "--out", shop / "dataset")
    assert done.exit_code == 0, done.output
    assert "when: numbers are seconds since 1970" in done.output
    first = Dataset.open(shop / "dataset")
    done = invoke("prepare", shop / "tuesday.csv", "--append", shop / "dataset")
    assert done.exit_code == 0, done.output
    grown = Dataset.open(shop / "dataset")
    assert len(grown) == 2 * len(first)
    assert grown.manifest.lineage == [first.fingerprint]


def test_append_with_the_mapping_again(invoke, shop):
    done = invoke("prepare", shop / "monday.csv", "--map", shop / "mapping.toml", "--out", shop / "dataset")
    assert done.exit_code == 0, done.output
    done = invoke("prepare", shop / "tuesday.csv", "--append", shop / "dataset", "--map", "rees46")
    assert done.exit_code == 1
    assert "--map differs" in done.output
    done = invoke("prepare", shop / "tuesday.csv", "--append", shop / "dataset", "--map", shop / "mapping.toml")
    assert done.exit_code == 0, done.output


def test_sequence_options(invoke, shop):
    done = invoke(
        *("prepare", shop / "monday.csv", "--map", shop / "mapping.toml", "--out", shop / "dataset"),
        *("--sequence", "user", "--window", "5", "--last-events", "9", "--dwell-cap", "100"),
    )
    assert done.exit_code == 0, done.output
    dataset = Dataset.open(shop / "dataset")
    assert sorted(np.diff(dataset.offsets).tolist()) == [4, 4, 4, 5, 5, 5]
    assert np.nanmax(dataset.dwell) == 100


def test_query(invoke, shop):
    query = f"SELECT * FROM '{shop / 'monday.csv'}' WHERE who <> 'u1'"
    done = invoke("prepare", "--query", query, "--map", shop / "mapping.toml", "--out", shop / "dataset")
    assert done.exit_code == 0, done.output
    assert Dataset.open(shop / "dataset").n_users == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--out", "d"), 2, "Name at least one file, folder or glob"),
        (("monday.csv",), 2, "Give one of --out FOLDER"),
        (("monday.csv", "--out", "d", "--append", "e"), 2, "Give one of --out FOLDER"),
        (("monday.csv", "--append", "e", "--window", "3"), 2, "--window is settled by the dataset"),
        (("monday.csv", "--append", "e"), 1, "There is no dataset folder e"),
        (("monday.csv", "--out", "d", "--map", "rees47"), 1, "nearest: rees46"),
        (("monday.csv", "--out", "d"), 1, "hup map monday.csv --out mapping.toml"),
        (("monday.csv", "--out", "d", "--map", "mapping.toml", "--spark-master", "yarn"), 1, "is for --engine spark"),
        (("monday.csv", "--out", "d", "--map", "mapping.toml", "--sequence", "session"), 1, "maps no session"),
        (("monday.csv", "--out", "d", "--map", "mapping.toml", "--idle-gap", "0"), 1, "idle_gap_minutes"),
        (("shop.duckdb", "--query", "SELECT 1", "--out", "d"), 1, "There is no database shop.duckdb"),
        (("--query", "DROP TABLE x", "--map", "mapping.toml", "--out", "d"), 1, "SELECT"),
    ],
)
def test_what_cannot_be_done_is_told(invoke, shop, monkeypatch, arguments, code, message):
    monkeypatch.chdir(shop)
    done = invoke("prepare", *arguments)
    assert done.exit_code == code, done.output
    assert message in " ".join(done.output.split()), done.output
    assert not (shop / "d").exists()

"""``hup recommend`` for users and sessions of a dataset: one of them, or all into a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.model import HUP
from hup.recommender.popularity import Popularity

from ..helpers.returning_users import returning_users

COLUMNS = ["user", "level", "rank", "name", "path", "score", "origin"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """`dataset` of returning users, `model` that looks at earlier sessions, and `popular`."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("returning")
    dataset = returning_users(folder)
    config = Config.preset("best", ["network.hidden=8", "embeddings.skipgram_epochs=2", "mixture.earlier=20"])
    HUP(config).initialise(dataset).save_pretrained(folder / "model")
    Popularity().fit(dataset).save_pretrained(folder / "popular")
    return folder


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_all_users_into_a_file(ask, folder, tmp_path):
    done = ask("--users", "all", "-k", 4, "--level", "all", "--out", tmp_path / "all.parquet")
    assert done.exit_code == 0, done.output
    assert f"rows for 12 users in {tmp_path / 'all.parquet'}" in done.stderr
    rows = rows_of(tmp_path / "all.parquet")
    assert list(rows[0]) == COLUMNS
    assert (
        list(dict.fromkeys(row["user"] for row in rows)) == Dataset.open(folder / "dataset").users.unique().to_pylist()
    )
    of_first = [(row["level"], row["rank"]) for row in rows if row["user"] == rows[0]["user"]]
    assert of_first == [("item", n) for n in (1, 2, 3, 4)] + [("category_2", n) for n in (1, 2, 3, 4)] + [
        ("category_1", n) for n in (1, 2, 3)
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


@pytest.mark.parametrize("options", [(), ("--new-only",), ("--within", "c1 > c4"), ("--level", "category_2")])
def test_one_user_is_answered_as_among_all(ask, tmp_path, options):
    assert ask("--users", "all", *options, "--out", tmp_path / "all.parquet").exit_code == 0
    rows = rows_of(tmp_path / "all.parquet")
    for user in ("u3", "u8"):
        done = ask("--user", user, *options, "--json")
        assert done.exit_code == 0, done.output
        (answer,) = json.loads(done.stdout).values()
        mine = [row for row in rows if row["user"] == user]
        assert mine
        assert [row["name"] for row in mine] == [one["name"] for one in answer["ranked"]]
        assert [row["score"] for row in mine] == pytest.approx([one["score"] for one in answer["ranked"]], abs=1e-5)


def test_new_only_is_nothing_that_the_user_was_ever_on(ask, folder, tmp_path):
    assert ask("--users", "all", "--new-only", "-k", 99, "--out", tmp_path / "new.parquet").exit_code == 0
    dataset, rows = Dataset.open(folder / "dataset"), rows_of(tmp_path / "new.parquet")
    ever: dict[str, set[str]] = {}
    for index in range(len(dataset)):
        items = dataset.item[dataset.offsets[index] : dataset.offsets[index + 1]]
        ever.setdefault(dataset.session_user(index), set()).update(dataset.item_names[item] for item in items)
    for user, seen in ever.items():
        told = {row["name"] for row in rows if row["user"] == user}
        assert told == set(dataset.item_names[: dataset.n_train_items]) - seen


def test_some_users_and_items_from_files(ask, tmp_path):
    (tmp_path / "users.txt").write_text("u4\nu1\n")
    (tmp_path / "stock.csv").write_text("item,price\ni3,9\ni5,9\nnobody,1\n")
    out = tmp_path / "some.csv"
    done = ask("--users", tmp_path / "users.txt", "--only", tmp_path / "stock.csv", "--out", out, model="popular")
    assert done.exit_code == 0, done.output
    assert "The model does not know 1 of the 3 items that are named." in done.stderr
    lines = out.read_text().splitlines()
    assert lines[0].startswith('"user","level","rank","name","path","score","origin.repeat"')
    assert {line.split(",")[0] for line in lines[1:]} == {'"u4"', '"u1"'}
    assert {line.split(",")[3] for line in lines[1:]} <= {'"i3"', '"i5"'}


def test_nothing_left_is_an_empty_list_and_said(ask, tmp_path):
    (tmp_path / "none.txt").write_text("nobody\n")
    done = ask("--users", "all", "--only", tmp_path / "none.txt", "--out", tmp_path / "all.jsonl")
    assert done.exit_code == 0
    assert "Nothing may come: the restriction leaves no candidate." in done.stderr
    assert (tmp_path / "all.jsonl").read_text() == ""
    one = ask("--user", "u1", "--only", tmp_path / "none.txt", "--json")
    assert json.loads(one.stdout)["item"]["ranked"] == []
    assert "Nothing may come" in json.loads(one.stdout)["item"]["note"]
    assert "Nothing may come" in ask("--user", "u1", "--only", tmp_path / "none.txt").stderr


def test_a_session_by_its_name(ask, tmp_path):
    (tmp_path / "sessions.txt").write_text("u3-2\n")
    out = tmp_path / "one.parquet"
    assert ask("--sessions", tmp_path / "sessions.txt", "-k", 3, "--out", out).exit_code == 0
    rows = rows_of(out)
    assert [row["session"] for row in rows] == ["u3-2"] * 3
    answer = json.loads(ask("--session", "u3-2", "-k", 3, "--json").stdout)["item"]
    assert [one["name"] for one in answer["ranked"]] == [row["name"] for row in rows]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(folder, tmp_path):
    """`kill -9` in the middle, and the same command again: the file is the same, and what was made is not made anew."""
    script = f"""
import os, signal, sys
from hup.cli import main
from hup.recommender import many
many._SESSIONS_PER_BATCH = 2
batch, made, last = many.ManyRecommendations.batch, [], int(os.environ["LAST"])
def counted(self, *arguments):
    made.append(1)
    if len(made) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(self, *arguments)
many.ManyRecommendations.batch = counted
sys.argv = ["hup", "recommend", {str(folder / "model")!r}, "--dataset", {str(folder / "dataset")!r},
            "--users", "all", "--out", os.environ["FILE"]]
main()
"""

    def run(path: Path, last: int) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"LAST": str(last), "FILE": str(path)}
        command = [sys.executable, "-c", script]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert run(tmp_path / "whole.csv", 99).returncode == 0
    assert run(tmp_path / "all.csv", 4).returncode == -signal.SIGKILL
    assert not (tmp_path / "all.csv").exists()
    again = run(tmp_path / "all.csv", 4)  # three of six are left, so a fourth is never made
    assert again.returncode == 0, again.stderr
    assert "3 parts are there" in again.stderr
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "whole.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--user", "bob"), "has no user 'bob'"),
        (("--session", "bob"), "has no session 'bob'"),
        (("--users", "absent.txt", "--out", "x.csv"), "Cannot read names from absent.txt"),
        (("--users", "all", "--out", "x.txt"), "x.txt ends in '.txt', expected one of .parquet, .csv, .jsonl."),
        (("--users", "all", "--out", "x.csv", "--level", "brand"), "no level 'brand'"),
        (("--user", "u1", "--within", "nowhere"), "within is 'nowhere', which is no category that the model knows"),
        (("--user", "u1", "--only", "absent.txt"), "Cannot read names from absent.txt"),
    ],
)
def test_what_is_wrong_is_told(ask, options, message):
    done = ask(*options)
    assert done.exit_code == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    "options", [(), ("--user", "u1", "--users", "all"), ("--users", "all"), ("--user", "u1", "--out", "x.csv")]
)
def test_wrong_usage(ask, options):
    assert ask(*options).exit_code == 2


def test_users_without_a_dataset_are_wrong_usage(folder, invoke):
    assert invoke("recommend", folder / "model", "--user", "u1").exit_code == 2


def test_a_dataset_of_another_shop_is_told(folder, shop, invoke):
    done = invoke("recommend", folder / "model", "--dataset", shop / "dataset", "--sessions", "all", "--out", "x.csv")
    assert done.exit_code == 1
    assert "was trained on another dataset" in done.stderr


def test_profiles_into_a_file(folder, invoke, tmp_path):
    out = tmp_path / "profiles.parquet"
    done = invoke("profiles", folder / "model", "--dataset", folder / "dataset", "--users", "all", "--out", out)
    assert done.exit_code == 0, done.output
    assert "48 rows for 12 users" in done.stderr
    model, dataset = HUP.from_pretrained(folder / "model"), Dataset.open(folder / "dataset")
    assert pq.read_table(out).equals(model.profiles(dataset))


def test_profiles_that_cannot_be_had(folder, invoke, tmp_path):
    options = ("--dataset", folder / "dataset", "--out", tmp_path / "p.csv")
    other = invoke("profiles", folder / "popular", *options, "--users", "all")
    assert other.exit_code == 1
    assert "is of kind popularity, which has no profiles" in other.stderr
    assert invoke("profiles", folder / "model", *options).exit_code == 2

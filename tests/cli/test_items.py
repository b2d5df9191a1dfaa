"""Item names from the table to the answer, by commands: carried by dataset and model, shown with recommendations."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import hup
from hup.cli.console import console
from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.model import HUP
from hup.recommender.popularity import Popularity

from ..helpers.returning_users import returning_users


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """`dataset` with item columns of all items but the first one, `model` and `popular`; `plain` without such."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("named")
    dataset = returning_users(folder)
    config = Config.preset("best", ["network.hidden=8", "embeddings.skipgram_epochs=2"])
    HUP(config).initialise(dataset).save_pretrained(folder / "plain")
    names = dataset.item_names[1:]
    table = pa.table(
        {"item": names, "title": [f"The [b] {name}" for name in names], "price": [n + 0.5 for n in range(len(names))]}
    )
    pq.write_table(table, folder / "items.parquet")
    dataset = hup.append(dataset.path, items=folder / "items.parquet")
    HUP(config).initialise(dataset).save_pretrained(folder / "model")
    Popularity().fit(dataset).save_pretrained(folder / "popular")
    return folder


def user_of(folder: Path) -> str:
    return Dataset.open(folder / "dataset").users[0].as_py()


# ---------------------------------------------------------------------- hup prepare


def test_prepare_carries_items_and_says_so(invoke, tmp_path):
    (tmp_path / "log.csv").write_text(
        "user,session,timestamp,item,behavior\n"
        + "".join(f"u,s{n // 3},{1_700_000_000 + n},i{n % 4},view\n" for n in range(30))
    )
    (tmp_path / "items.csv").write_text("sku;name\ni0;Lamp\ni1;Shoe\n;Nobody\nlater;Later\n")
    made = ("prepare", tmp_path / "log.csv", "--out", tmp_path / "dataset")
    done = invoke(*made, "--items", tmp_path / "items.csv", "--items-key", "sku")
    assert done.exit_code == 0, done.output
    assert (
        "Item columns name: for 2 of 4 items; rows of items in no session, kept for when they come: 1." in done.stderr
    )
    assert "row of the items cannot be used" in done.stdout
    shown = invoke("info", tmp_path / "dataset").stdout
    assert "Products with item columns" in shown
    assert "name     string" in shown
    assert json.loads(invoke("info", tmp_path / "dataset", "--json").stdout)["item_columns"]["rows"] == 3

    (tmp_path / "new.csv").write_text("sku,name\ni0,Lamp 2\n")
    done = invoke("prepare", "--append", tmp_path / "dataset", "--items", tmp_path / "new.csv")
    assert done.exit_code == 0, done.output
    assert Dataset.open(tmp_path / "dataset").item_columns.of("i0")["name"] == "Lamp 2"

    done = invoke(*made, "--overwrite", "--items-key", "sku")
    assert done.exit_code == 1
    assert "give that, too, by --items TABLE" in done.stderr
    assert invoke("prepare", "--append", tmp_path / "dataset").exit_code == 2


# ---------------------------------------------------------------------- one session


def test_titles_are_shown_by_themselves(ask, folder):
    done = ask("--user", user_of(folder), "-k", 5)
    assert done.exit_code == 0, done.output
    assert "title" in done.stdout
    assert "The [b] " in done.stdout
    assert "price" not in done.stdout


def test_columns_are_chosen(ask, folder, monkeypatch):
    monkeypatch.setattr(console, "_width", 200)  # a narrow terminal breaks heads
    done = ask("--user", user_of(folder), "-k", 5, "--show", "price, title")
    assert done.exit_code == 0, done.output
    heads = done.stdout.splitlines()[2].split()
    assert heads[:5] == ["rank", "item", "price", "title", "categories"]
    assert "The [b]" not in ask("--user", user_of(folder), "--show", "").stdout


def test_json_has_what_is_shown(ask, folder):
    answer = json.loads(ask("--user", user_of(folder), "--level", "all", "--json", "--show", "price").stdout)
    of_items = answer.pop("item")["ranked"]
    first = Dataset.open(folder / "dataset").item_names[0]
    assert {tuple(one["item"]) for one in of_items} == {("price",)}
    assert all((one["item"]["price"] is None) == (one["name"] == first) for one in of_items)
    assert not any("item" in one for level in answer.values() for one in level["ranked"])


def test_a_column_that_is_not_there(ask, invoke, folder, tmp_path):
    for answer in (
        ask("--user", user_of(folder), "--show", "prise"),
        ask("--users", "all", "--show", "title,prise", "--out", tmp_path / "x.csv"),
        invoke("similar", folder / "model", "i1", "--show", "prise"),
    ):
        assert answer.exit_code == 1
        assert "There is no item column 'prise'. Did you mean 'price'? There are: title, price." in answer.stderr


def test_the_table_of_the_dataset_goes_before_that_of_the_model(ask, folder):
    done = ask("--user", user_of(folder), "-k", 5, "--show", "title", model="plain")
    assert done.exit_code == 0, done.output
    assert "The [b]" in done.stdout


def test_a_model_without_a_table_is_as_before(invoke, folder, tmp_path):
    name = Dataset.open(folder / "dataset").item_names[1]
    (tmp_path / "session.jsonl").write_text(json.dumps({"item": name, "behavior": "view"}) + "\n")
    ask = ("recommend", folder / "plain", "--session", tmp_path / "session.jsonl", "--format", "jsonl")
    done = invoke(*ask, "--json")
    assert done.exit_code == 0, done.output
    assert "item" not in json.loads(done.stdout)["item"]["ranked"][0]
    assert "title" not in invoke(*ask).stdout
    refused = invoke(*ask, "--show", "title")
    assert refused.exit_code == 1
    assert "no table of items was given" in refused.stderr
    ask = ("recommend", folder / "model", *ask[2:])
    assert "The [b]" in invoke(*ask).stdout


def test_similar_shows_titles(invoke, folder):
    name = Dataset.open(folder / "dataset").item_names[1]
    assert "The [b]" in invoke("similar", folder / "model", name, "-k", 5).stdout
    answer = json.loads(invoke("similar", folder / "model", name, "--json", "--show", "title,price").stdout)
    assert list(answer["ranked"][0]["item"]) == ["title", "price"]


def test_explain_says_what_was_to_be_found(invoke, folder, tmp_path):
    name = Dataset.open(folder / "dataset").item_names[1]
    events = [{"item": item, "behavior": "view", "timestamp": n} for n, item in enumerate(["x", "y", name])]
    (tmp_path / "session.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    ask = ("--session", tmp_path / "session.jsonl", "--format", "jsonl")
    assert f"{name}: The [b] {name}" in invoke("explain", folder / "model", *ask).stdout
    assert "The [b]" not in invoke("explain", folder / "plain", *ask).stdout


# ---------------------------------------------------------------------- many users


def test_files_have_the_columns(ask, folder, tmp_path):
    options = ("--users", "all", "-k", 3, "--level", "all")
    for ending in ("parquet", "csv", "jsonl"):
        out = tmp_path / f"all.{ending}"
        done = ask(*options, "--show", "price,title", "--out", out, model="popular")
        assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "all.parquet").to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    first = Dataset.open(folder / "dataset").item_names[0]
    for row, line in zip(table, lines, strict=True):
        assert row["item"] == line["item"]
        if row["level"] != "item":
            assert row["item"] is None
        elif row["name"] != first:
            assert row["item"]["title"] == f"The [b] {row['name']}"
    with (tmp_path / "all.csv").open() as file:
        written = list(csv.DictReader(file))
    assert list(written[0])[-2:] == ["item.price", "item.title"]
    assert [row["item.title"] for row in written] == [(row["item"] or {}).get("title") or "" for row in table]


def test_titles_are_in_files_by_themselves(ask, tmp_path):
    assert ask("--users", "all", "--out", tmp_path / "a.parquet", model="popular").exit_code == 0
    assert pq.read_schema(tmp_path / "a.parquet").field("item").type == pa.struct([("title", pa.string())])
    assert ask("--users", "all", "--show", "", "--out", tmp_path / "b.parquet", model="popular").exit_code == 0
    assert "item" not in pq.read_schema(tmp_path / "b.parquet").names


def test_one_by_one_and_many_say_the_same(folder):
    dataset, model = Dataset.open(folder / "dataset"), hup.load(folder / "popular")
    for row in model.recommend_many(dataset, k=5, show=["price", "title"]).to_pylist():
        assert row["item"] is None or row["item"] == dict(model.item_columns.of(row["name"]))


# ---------------------------------------------------------------------- the model folder


def test_a_model_of_before_opens_and_a_wrong_file_is_told(folder, tmp_path):
    model = hup.load(folder / "popular")
    model.save_pretrained(tmp_path / "model")
    other = hup.load(folder / "plain")
    assert other.item_columns is None
    model.item_columns = None
    model.save_pretrained(tmp_path / "bare")
    model = hup.load(tmp_path / "model")
    model.save_pretrained(tmp_path / "bare")
    assert hup.load(tmp_path / "bare").item_columns.info == model.item_columns.info
    model.item_columns = None
    model.save_pretrained(tmp_path / "bare")
    assert not (tmp_path / "bare" / "item_columns.arrow").exists()
    config = json.loads((tmp_path / "bare" / "config.json").read_text())
    del config["item_columns"]  # as it was before
    (tmp_path / "bare" / "config.json").write_text(json.dumps(config))
    assert hup.load(tmp_path / "bare").item_columns is None
    (tmp_path / "model" / "item_columns.arrow").unlink()
    with pytest.raises(hup.HupError, match=r"item_columns\.arrow is missing"):
        hup.load(tmp_path / "model")


def test_a_run_that_was_stopped_begins_anew_with_another_table(ask, folder, invoke, tmp_path):
    """What is kept of it has yesterday's prices."""
    from hup.cli import table_output

    out = tmp_path / "all.parquet"
    asked = ("--users", "all", "--show", "price", "--out", out)
    seen: list[dict] = []
    really = table_output.write_table

    def note_question(path, question, *rest):
        seen.append(question)
        return really(path, question, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hup.cli.recommend.write_table", note_question)
        assert ask(*asked, model="popular").exit_code == 0
        assert ask(*asked, model="popular").exit_code == 0
        model = hup.load(folder / "popular")
        dataset = Dataset.open(folder / "dataset")
        (tmp_path / "copy").mkdir()
        for path in dataset.path.iterdir():
            (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
        hup.append(tmp_path / "copy", items=pa.table({"item": dataset.item_names[:1], "price": [1.0]}))
        model.save_pretrained(tmp_path / "model")
        done = invoke("recommend", tmp_path / "model", "--dataset", tmp_path / "copy", *asked)
        assert done.exit_code == 0, done.output
    assert seen[0] == seen[1]
    assert seen[2]["items"] != seen[0]["items"]

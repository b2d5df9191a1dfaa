"""``hup info`` on datasets, models and what is neither."""

import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from hup.cli import app
from hup.cli.category_tree import category_tree
from hup.cli.info import _moment
from hup.data.columns import write_batch
from hup.data.prepare import prepare
from hup.data.taxonomy import CodedItems, FirstAppearance, coded_items
from hup.recommender.model_folder import FORMAT_VERSION


def coded(paths) -> CodedItems:
    appearance = FirstAppearance(len(paths))
    appearance.encode(np.arange(len(paths)))
    items = pa.table({"item": [f"i{n}" for n in range(len(paths))], "path": ["/".join(path) for path in paths]})
    return coded_items(items, appearance, len(paths[0]), "/")


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


def drawn(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("Category tree"))
    end = next((n for n in range(start, len(lines)) if not lines[n].strip()), len(lines))
    return [line.rstrip() for line in lines[start:end]]


def test_the_category_tree_is_drawn_with_counts(tmp_path):
    lines = ["a+1+x/u+1+1 b+1+x/[v]+1+1", "a+1+x/u+1+1 c+1+(none)/(none)+1+1", "d+1+y/u+1+1 a+1+x/u+1+1"]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    folder = prepare(tmp_path / "log.txt", out=tmp_path / "out").path
    whole = [
        "Category tree: 3, 4 categories by level; items, events",
        "├── x  2, 4",
        "│   ├── u  1, 3",
        "│   └── [v]  1, 1",
        "├── (none)  1, 1",
        "└── y  1, 1",
        "    └── u  1, 1",
    ]
    assert drawn(folder) == whole
    assert drawn(folder, "--tree") == whole
    assert run(folder, "--tree").stdout.splitlines() == whole
    flat = [whole[0], *(line for line in whole[1:] if line[0] in "├└")]
    assert drawn(folder, "--depth", 1) == flat
    assert drawn(folder, "--tree", "--depth", 1) == flat
    assert drawn(folder, "--depth", 9) == whole
    assert run(folder, "--depth", 0).exit_code == 2


def test_a_category_that_stands_for_itself_is_drawn_once():
    paths = [("a", "a", "a"), ("b", "b", "c"), ("b", "b", "b"), ("d", "e", "e"), ("f", "f", "g"), ("h", "i", "h")]
    tree = coded(paths).taxonomy
    dataset = SimpleNamespace(
        taxonomy=tree, levels=3, n_categories=tuple(map(len, tree.names)), item_events=np.arange(60, 0, -10)
    )
    rows = shown(dataset, 40)
    assert [(depth, name) for depth, name, _items, _events in rows] == [
        *[(1, "b"), (2, "c"), (2, "b")],
        (1, "a"),
        *[(1, "d"), (2, "e")],
        *[(1, "f"), (2, "g")],
        *[(1, "h"), (2, "i"), (3, "h")],
    ]
    assert rows[0] == (1, "b", 2, 90)
    assert [name for _depth, name, _items, _events in shown(dataset, 40, 1)] == ["b", "a", "d", "f", "h"]


def shown(dataset, lines, depth=None):
    """The tree as (indent, name or number of hidden, items, events)."""
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(category_tree(dataset, lines=lines, depth=depth))
    rows = []
    for line in console.export_text().splitlines()[1:]:
        indent, text = re.fullmatch(r"((?:[│ ]   )*)[├└]── (.*?)\s*", line).groups()
        name, items, events = re.fullmatch(r"(.*?)  ([\d,]+), ([\d,]+)", text).groups()
        rows.append((len(indent) // 4 + 1, name, int(items.replace(",", "")), int(events.replace(",", ""))))
    return rows


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(st.tuples(*[st.sampled_from("abcde")] * 3), min_size=1, max_size=60),
    events=st.lists(st.integers(1, 1500), min_size=60, max_size=60),
    lines=st.integers(5, 40),
    depth=st.sampled_from([None, 1, 2]),
)
def test_a_big_tree_is_cut_to_its_biggest_branches(paths, events, lines, depth):
    paths = [tuple(f"{name}{level}" for level, name in enumerate(path)) for path in paths]
    tree = coded(paths).taxonomy
    item_events = np.array(events[: len(paths)])
    dataset = SimpleNamespace(
        taxonomy=tree, levels=3, n_categories=tuple(map(len, tree.names)), item_events=item_events
    )
    rows = shown(dataset, lines, depth)
    assert len(rows) <= lines
    deepest = depth or 3
    sizes = {}
    for path, n in zip(paths, events, strict=False):
        for k in range(1, deepest + 1):
            items, total = sizes.get(path[:k], (0, 0))
            sizes[path[:k]] = (items + 1, total + n)
    found, place, hidden = {}, (), 0
    for level, name, n_items, n_events in rows:
        if name.startswith("…"):
            group = {p: s for p, s in sizes.items() if len(p) == level and p[:-1] == place[: level - 1]}
            rest = [size for path, size in group.items() if path not in found]
            assert name == f"… {len(rest)} more"
            assert (n_items, n_events) == tuple(map(sum, zip(*rest, strict=True)))
            hidden += 1
            continue
        place = (*place[: level - 1], name)
        assert sizes[place] == (n_items, n_events)
        found[place] = n_events
    if len(sizes) <= lines:
        assert len(found) == len(sizes)
    left = [total for path, (_items, total) in sizes.items() if path not in found]
    assert max(left, default=0) <= min(found.values())
    assert bool(left) == bool(hidden)


def test_what_is_known_of_an_event_table_is_shown(dataset):
    columns = {
        "user": ["u", "v"] * 300,
        "start": range(1_570_000_000_000, 1_570_000_000_000 + 600 * 60_000, 60_000),
        "end": range(1_570_000_030_000, 1_570_000_030_000 + 600 * 60_000, 60_000),
    }
    path = dataset.path / "sessions.arrow"
    batch = pa.ipc.open_file(path.read_bytes()).get_batch(0)
    for name, values in columns.items():
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, name, pa.array(values, batch.schema.field(name).type))
    write_batch(path, batch)
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    manifest["time"] = {"first_ms": 1_570_000_000_000, "last_ms": 1_570_036_000_000}
    manifest["tree"]["items_without_category"] = 17
    manifest["left_out"] = {"behavior [scroll] is not kept": 1234}
    manifest["lineage"] = ["ab" * 32]
    manifest["preparation"] = {
        "format": "events",
        "mapping": {"tables": [{"user": "visitor[id]", "match": None}], "nulls": ["", "NULL"]},
        "dwell_cap_seconds": 1800.0,
    }
    (dataset.path / "manifest.json").write_text(json.dumps(manifest))
    text = run(dataset.path).stdout
    for part in (
        r"Users +2 *\n",
        r"train +420 +840 +2019-10-02 07:06 +2019-10-02 14:06 *\n",
        r"test +120 +240 +2019-10-02 15:06 +2019-10-02 17:06 *\n",
        r"items without a category +17 *\n",
        r"behavior \[scroll\] is not kept +1,234 *\n",
        r"mapping\.tables\.1\.user +visitor\[id\]",
        r"dwell_cap_seconds +1800",
        r"Appended to abababababab *\n",
    ):
        assert re.search(part, text), (part, text)
    assert "tables.1.match" not in text
    assert json.loads(run(dataset.path, "--json").stdout)["left_out"] == manifest["left_out"]


def test_a_time_that_no_calendar_has_is_shown_as_a_number():
    assert _moment(10**17) == "100,000,000,000,000,000 ms"


def test_json_is_the_manifest_and_what_the_tables_count_besides(dataset):
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    found = json.loads(run(dataset.path, "--json").stdout)
    assert {key: found[key] for key in manifest} == manifest
    assert found.keys() - manifest.keys() == {"path", "users", "items_with_columns", "parts"}
    assert found["parts"].keys() == {"train", "validation", "test"}
    assert sum(part["events"] for part in found["parts"].values()) == manifest["counts"]["events"]


def test_json_of_the_tree(dataset):
    found = json.loads(run(dataset.path, "--json", "--tree").stdout)
    assert sum(root["events"] for root in found["categories"]) == dataset.manifest.counts.events
    assert any(root["children"] for root in found["categories"]) == (dataset.levels > 1)
    shallow = json.loads(run(dataset.path, "--json", "--tree", "--depth", "1").stdout)
    assert [root | {"children": []} for root in found["categories"]] == shallow["categories"]


MODEL = {"format_version": FORMAT_VERSION, "model": "hup"}


def test_model_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**MODEL, "network": {"hidden": 100}}))
    (tmp_path / "model.safetensors").touch()
    assert "network.hidden" in run(tmp_path).stdout
    (tmp_path / "metrics.json").write_text(json.dumps({"validation": {"recall@20": 0.25}}))
    assert "validation.recall@20" in run(tmp_path).stdout
    assert json.loads(run(tmp_path, "--json").stdout) == {
        "path": str(tmp_path),
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


def test_a_log_without_categories_shows_none(bare_shops, invoke):
    done = invoke("info", bare_shops["K=1, bare"].path)
    assert done.exit_code == 0, done.output
    assert "none" in next(line for line in done.stdout.splitlines() if line.strip().startswith("Categories"))
    for absent in ("category_1", "Category tree", "Category paths", "(none)"):
        assert absent not in done.stdout
    assert invoke("info", bare_shops["K=1, bare"].path, "--tree").stdout == "No item has a category.\n"
    some = invoke("info", bare_shops["K=3, bare"].path)
    for expected in ("category_1", "Category tree", "(none)"):
        assert expected in some.stdout

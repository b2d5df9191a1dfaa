"""Adding a new stretch of log: nothing that was there changes, and what comes out is as if all had come at once."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from hup.data.dataset import Dataset
from hup.data.prepare import append, prepare
from hup.data.progress import Progress
from hup.data.tables.mapping import load_mapping
from hup.errors import HupError

HEADER = "user,session,event_id,timestamp,item,behavior,category_1,category_2"


def table(path, sessions, first=0):
    """Write sessions one after the other, items and categories drawn by a seed; returns their rows, too."""
    rng = np.random.default_rng(first)
    rows = []
    for session in sessions:
        for step in range(int(rng.integers(2, 9))):
            item = int(rng.integers(0, 20 + session // 4))
            behavior = rng.choice(["view", "cart", "buy"] if session > 40 else ["view", "cart"])
            rows.append(
                f"u{session % 9},s{session},{session * 100 + step},{1_700_000_000 + session * 500 + step * 7},"
                f"i{item},{behavior},c{item % 3},d{item % 6}"
            )
    path.write_text("\n".join((HEADER, *rows)) + "\n")
    return rows


def same_data(one, other):
    return all(
        (one.path / name).read_bytes() == (other.path / name).read_bytes()
        for name in ("events.arrow", "sessions.arrow", "items.arrow")
    )


def test_day_by_day_is_all_at_once(tmp_path):
    old = table(tmp_path / "1.csv", range(50), 1)
    new = table(tmp_path / "2.csv", range(50, 80), 2)
    (tmp_path / "all.csv").write_text("\n".join((HEADER, *old, *new)) + "\n")
    whole = prepare(tmp_path / "all.csv", out=tmp_path / "whole")
    first = prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    grown = append(tmp_path / "grown", tmp_path / "2.csv")
    assert same_data(grown, whole)
    assert grown.fingerprint == whole.fingerprint
    assert grown.manifest.counts == whole.manifest.counts
    assert grown.manifest.split == whole.manifest.split
    assert grown.manifest.lineage == [first.fingerprint]
    assert [source.file for source in grown.manifest.sources] == ["1.csv", "2.csv"]


def test_codes_stay_and_the_vocabulary_grows(tmp_path):
    table(tmp_path / "1.csv", range(50), 1)
    table(tmp_path / "2.csv", range(50, 120), 2)
    first = prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    names, paths, behaviors = first.item_names, first.taxonomy.paths.copy(), first.behaviors
    categories = [list(level) for level in first.taxonomy.names]
    events = first.item.copy()
    grown = append(tmp_path / "grown", tmp_path / "2.csv")
    assert grown.n_items > len(names)
    assert grown.item_names[: len(names)] == names
    np.testing.assert_array_equal(grown.taxonomy.paths[: len(names)], paths)
    assert grown.behaviors[: len(behaviors)] == behaviors
    for level, known in enumerate(categories):
        assert grown.taxonomy.names[level][: len(known)] == known
    np.testing.assert_array_equal(grown.item[: len(events)], events)


def test_an_item_that_moved_keeps_its_category(tmp_path):
    row = "u,{session},{event},{time},{item},view,{category},x"
    log = [("s1", 1, 0, "lamp", "home"), ("s1", 2, 5, "shoe", "clothes")]
    later = [("s2", 3, 100, "lamp", "garden"), ("s2", 4, 105, "shoe", "clothes")]
    for name, part in (("1.csv", log), ("2.csv", later)):
        lines = [row.format(session=s, event=e, time=1_700_000_000 + t, item=i, category=c) for s, e, t, i, c in part]
        (tmp_path / name).write_text("\n".join((HEADER, *lines)) + "\n")
    prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    grown = append(tmp_path / "grown", tmp_path / "2.csv")
    lamp = grown.item_names.index("lamp")
    assert grown.taxonomy.path_names(1, grown.taxonomy.paths[lamp, 0]) == ("home",)
    assert grown.n_categories == (2, 2)
    assert grown.manifest.tree.items_moved == 1


def test_what_is_there_is_not_read_twice(tmp_path):
    rows = table(tmp_path / "1.csv", range(30), 1)
    prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    (tmp_path / "renamed.csv").write_text("\n".join((HEADER, *rows)) + "\n")
    for name in ("1.csv", "renamed.csv"):
        with pytest.raises(HupError, match=r"100\.0% .*not later than the last one of the dataset"):
            append(tmp_path / "grown", tmp_path / name)


def test_a_new_day_may_come_under_the_old_name(tmp_path):
    rows = table(tmp_path / "days.csv", range(100, 130), 1)
    prepare(tmp_path / "days.csv", out=tmp_path / "grown")
    later = [row.replace(",s1", ",s2").replace(",17000", ",17100") for row in rows]
    (tmp_path / "days.csv").write_text("\n".join((HEADER, *later)) + "\n")
    assert len(append(tmp_path / "grown", tmp_path / "days.csv")) == 60


def test_jd_lines_are_known_by_name_and_size(tmp_path):
    (tmp_path / "1.txt").write_text("1+1+5+3+4 2+2+6+3+4\n")
    prepare(tmp_path / "1.txt", out=tmp_path / "grown")
    with pytest.raises(HupError, match=r"1\.txt is in .*grown already \(same name and size\)"):
        append(tmp_path / "grown", tmp_path / "1.txt")


def test_late_events_are_listed(tmp_path):
    rows = table(tmp_path / "1.csv", range(30), 1)
    new = table(tmp_path / "2.csv", range(30, 60), 2)
    prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    (tmp_path / "2.csv").write_text("\n".join((HEADER, rows[0], *new)) + "\n")
    grown = append(tmp_path / "grown", tmp_path / "2.csv")
    assert grown.manifest.rejects.by_reason["event is not later than the last one of the dataset"] == 1
    rejects = pq.read_table(tmp_path / "grown" / "rejects.parquet").to_pylist()
    late = [row for row in rejects if row["reason"].startswith("event is not later")]
    assert [(row["file"], row["line"]) for row in late] == [("2.csv", 2)]
    assert "session=s0" in late[0]["token"]


def test_rejects_add_up(tmp_path):
    first = table(tmp_path / "1.csv", range(30), 1)
    new = table(tmp_path / "2.csv", range(30, 60), 2)
    bad = "u1,s1,5,never,i1,view,c1,d1"
    (tmp_path / "1.csv").write_text("\n".join((HEADER, bad, *first)) + "\n")
    (tmp_path / "2.csv").write_text("\n".join((HEADER, *new, bad)) + "\n")
    before = prepare(tmp_path / "1.csv", out=tmp_path / "grown").manifest.rejects
    after = append(tmp_path / "grown", tmp_path / "2.csv").manifest.rejects
    assert after.by_reason["timestamp is not a time"] == 2
    assert pq.read_table(tmp_path / "grown" / "rejects.parquet").num_rows == after.rows > before.rows


def test_settings_of_the_dataset_are_used_again(tmp_path):
    header = "who;when;what;shelf"
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        """
        [tables]
        delimiter = ";"
        user = "who"
        timestamp = "when"
        item = "what"
        behavior = { value = "view" }
        [categories]
        columns = ["shelf"]
        """
    )
    for name, start in (("1.csv", 0), ("2.csv", 100_000)):
        rows = [f"ann;{1_700_000_000 + start + 700 * n};i{n % 4};c{n % 2}" for n in range(12)]
        (tmp_path / name).write_text("\n".join((header, *rows)) + "\n")
    prepare(tmp_path / "1.csv", map=mapping, idle_gap_minutes=10, sequence="user", window=4, out=tmp_path / "grown")
    grown = append(tmp_path / "grown", tmp_path / "2.csv")
    assert np.diff(grown.offsets).tolist() == [4] * 6


def test_jd_lines(tmp_path):
    old = ["1+1+5+3+4 2+2+6+3+4", "3+1+5+1+1 1+1+5+2+2"]
    new = ["9+1+7+3+4 2+2+6+3+4 1+1+5+1+1"]
    for name, lines in (("1.txt", old), ("2.txt", new), ("all.txt", old + new)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    whole = prepare(tmp_path / "all.txt", out=tmp_path / "whole")
    prepare(tmp_path / "1.txt", out=tmp_path / "grown")
    grown = append(tmp_path / "grown", tmp_path / "2.txt")
    for name in ("item", "behavior", "interval", "dwell", "offsets"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(whole, name))
    assert grown.item_names == whole.item_names
    assert [grown.session_name(session) for session in range(3)] == ["1.txt:1", "1.txt:2", "2.txt:1"]


def test_a_random_split_cannot_grow(tmp_path):
    table(tmp_path / "1.csv", range(30), 1)
    table(tmp_path / "2.csv", range(30, 60), 2)
    prepare(tmp_path / "1.csv", out=tmp_path / "grown", split="random")
    with pytest.raises(HupError, match="split at random; only a dataset that is split in time"):
        append(tmp_path / "grown", tmp_path / "2.csv")


def test_a_failure_leaves_the_dataset_as_it_was(tmp_path, monkeypatch):
    table(tmp_path / "1.csv", range(30), 1)
    table(tmp_path / "2.csv", range(30, 60), 2)
    first = prepare(tmp_path / "1.csv", out=tmp_path / "grown")

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hup.data.prepare.write_dataset", fail)
    with pytest.raises(HupError, match="No space left"):
        append(tmp_path / "grown", tmp_path / "2.csv")
    assert Dataset.open(tmp_path / "grown").fingerprint == first.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "2.csv", "grown"]


def test_jd_items_keep_the_category_that_the_dataset_has(tmp_path):
    """Item 1 is in 5; of the new tokens most say 9, and of item 2 all do."""
    (tmp_path / "1.txt").write_text("1+1+5+3+4 2+1+5+3+4\n")
    (tmp_path / "2.txt").write_text("1+1+9+3+4 3+1+9+3+4 1+1+9+3+4 1+1+5+3+4 2+1+9+3+4\n")
    prepare(tmp_path / "1.txt", out=tmp_path / "grown")
    grown = append(tmp_path / "grown", tmp_path / "2.txt")
    categories = {
        name: grown.taxonomy.path_names(1, grown.taxonomy.paths[code, 0]) for code, name in enumerate(grown.item_names)
    }
    assert categories == {"1": ("5",), "2": ("5",), "3": ("9",)}
    rejects = pq.read_table(tmp_path / "grown" / "rejects.parquet").to_pylist()
    assert [(row["token"], row["reason"], row["effect"]) for row in rejects] == [
        (token, "item has another category: 9 instead of 5", "noted")
        for token in ("1+1+9+3+4", "1+1+9+3+4", "2+1+9+3+4")
    ]


def test_a_run_killed_while_it_replaced_the_dataset_is_made_good(tmp_path):
    table(tmp_path / "1.csv", range(30), 1)
    table(tmp_path / "2.csv", range(30, 60), 2)
    first = prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    (tmp_path / "grown").rename(tmp_path / "grown.replaced-hup")
    (tmp_path / "grown.partial-hup").mkdir()
    grown = append(tmp_path / "grown", tmp_path / "2.csv")
    assert grown.manifest.lineage == [first.fingerprint]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "2.csv", "grown"]


class Meanwhile(Progress):
    """Does something while the events are written."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def phase(self, name, total=None, unit=None):
        if name == "Writing events":
            self.action()


def test_of_two_runs_at_once_the_second_refuses(tmp_path):
    table(tmp_path / "1.csv", range(30), 1)
    table(tmp_path / "2.csv", range(30, 60), 2)
    table(tmp_path / "3.csv", range(60, 90), 3)
    prepare(tmp_path / "1.csv", out=tmp_path / "grown")

    def other_runs():
        with pytest.raises(HupError, match=r"Another run is making .*grown"):
            append(tmp_path / "grown", tmp_path / "2.csv")
        with pytest.raises(HupError, match=r"Another run is making .*grown"):
            prepare(tmp_path / "2.csv", out=tmp_path / "grown", overwrite=True)

    append(tmp_path / "grown", tmp_path / "3.csv", progress=Meanwhile(other_runs))
    assert [source.file for source in Dataset.open(tmp_path / "grown").manifest.sources] == ["1.csv", "3.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "2.csv", "3.csv", "grown"]


def test_a_dataset_that_another_one_took_the_place_of_meanwhile(tmp_path):
    table(tmp_path / "1.csv", range(30), 1)
    table(tmp_path / "2.csv", range(30, 60), 2)
    table(tmp_path / "3.csv", range(60, 90), 3)
    prepare(tmp_path / "1.csv", out=tmp_path / "grown")

    def moved_there():
        prepare(tmp_path / "2.csv", out=tmp_path / "other")
        shutil.rmtree(tmp_path / "grown")
        (tmp_path / "other").rename(tmp_path / "grown")

    with pytest.raises(HupError, match=r"grown was changed meanwhile.*run the command again"):
        append(tmp_path / "grown", tmp_path / "3.csv", progress=Meanwhile(moved_there))
    assert [source.file for source in Dataset.open(tmp_path / "grown").manifest.sources] == ["2.csv"]
    append(tmp_path / "grown", tmp_path / "3.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "2.csv", "3.csv", "grown"]


def test_a_dataset_that_went_away_meanwhile(tmp_path):
    table(tmp_path / "1.csv", range(30), 1)
    table(tmp_path / "2.csv", range(30, 60), 2)
    prepare(tmp_path / "1.csv", out=tmp_path / "grown")
    gone = Meanwhile(lambda: (tmp_path / "grown").rename(tmp_path / "moved"))
    with pytest.raises(HupError, match="changed meanwhile"):
        append(tmp_path / "grown", tmp_path / "2.csv", progress=gone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "2.csv", "moved"]


@pytest.fixture
def kept_beside(tmp_path):
    """Events in one folder; mapping and table of items in another."""
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "mapping.toml").write_text(
        """
        [tables]
        user = "who"
        timestamp = "when"
        item = "what"
        behavior = { value = "view" }
        [categories.items]
        file = "products.csv"
        item = "sku"
        category = "shelf"
        [sequence]
        window = 5
        """
    )
    (maps / "products.csv").write_text("sku,shelf\n" + "".join(f"i{n},c{n % 2}\n" for n in range(8)))
    events = tmp_path / "events"
    events.mkdir()
    for name, start in (("1.csv", 0), ("2.csv", 100_000)):
        rows = [f"ann,{1_700_000_000 + start + 700 * n},i{n % 4}" for n in range(12)]
        (events / name).write_text("\n".join(("who,when,what", *rows)) + "\n")
    prepare(events / "1.csv", map=maps / "mapping.toml", sequence="user", window=4, out=tmp_path / "grown")
    return tmp_path


def test_tables_kept_beside_the_mapping(kept_beside):
    with pytest.raises(HupError, match=r"table of items products\.csv is not there"):
        append(kept_beside / "grown", kept_beside / "events" / "2.csv")
    grown = append(kept_beside / "grown", kept_beside / "events" / "2.csv", map=kept_beside / "maps" / "mapping.toml")
    assert grown.n_categories == (2,)
    assert np.diff(grown.offsets).tolist() == [4] * 6, "the window is that of the dataset"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('item = "sku"', 'item = "no"'), r"categories\.items\.item is 'no', there 'sku'"),
        (('"who"', '["who", "whom"]'), r"tables\[0\]\.user is \['who', 'whom'\], there 'who'"),
        (('category = "shelf"', 'columns = ["shelf"]'), r"categories\.items\.category is None, there 'shelf'"),
    ],
)
def test_another_mapping_is_refused(kept_beside, change, message):
    path = kept_beside / "maps" / "mapping.toml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(HupError, match=f"--map differs from the mapping .*grown was made with: {message}"):
        append(kept_beside / "grown", kept_beside / "events" / "2.csv", map=path)


def test_names_of_mappings_do_not_count(kept_beside):
    path = kept_beside / "maps" / "mapping.toml"
    named = load_mapping(path).model_copy(update={"name": "ours"})
    shutil.copy(kept_beside / "maps" / "products.csv", kept_beside / "events")
    append(kept_beside / "grown", kept_beside / "events" / "2.csv", map=named)


def test_jd_lines_have_no_mapping(tmp_path):
    (tmp_path / "1.txt").write_text("1+1+5+3+4 2+1+5+3+4\n")
    (tmp_path / "2.txt").write_text("1+1+5+3+4 2+1+5+3+4 1+1+5+3+4\n")
    prepare(tmp_path / "1.txt", out=tmp_path / "grown")
    with pytest.raises(HupError, match="a mapping is for event tables"):
        append(tmp_path / "grown", tmp_path / "2.txt", map="rees46")

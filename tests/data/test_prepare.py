"""`prepare` on logs whose outcome is known."""

import gzip
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hup.data.dataset import Dataset
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.prepare import prepare
from hup.data.progress import Progress
from hup.errors import HupError

NAME = st.text(
    st.characters(codec="utf-8", exclude_characters=" +/\n\r\ufeff"),
    min_size=1,
    max_size=6,
)
SECONDS = st.integers(0, 10**6) | st.floats(0, 1e6, width=32)


@st.composite
def logs(draw):
    """Sessions of (item, behavior index, path, interval, dwell), any K, every item on one path."""
    levels = draw(st.integers(1, 3))
    paths = st.tuples(*[NAME] * levels)
    catalogue = draw(st.dictionaries(NAME, paths, min_size=2, max_size=6))
    item = st.sampled_from(sorted(catalogue))
    event = st.tuples(item, st.integers(0, 9), SECONDS, SECONDS)
    sessions = draw(st.lists(st.lists(event, min_size=1, max_size=8), min_size=1, max_size=8))
    return levels, [
        [(i, b, catalogue[i], np.float32(g), np.float32(d)) for i, b, g, d in session] for session in sessions
    ]


def to_line(session):
    return " ".join(f"{i}+{b + 1}+{'/'.join(path)}+{g}+{d}" for i, b, path, g, d in session)


def write_log(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_back(dataset):
    """Give the sessions of a dataset in the form of `logs`."""
    names, taxonomy = dataset.item_names, dataset.taxonomy
    sessions = []
    for start, end in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True):
        sessions.append(
            [
                (names[i], b, taxonomy.path_names(taxonomy.levels, taxonomy.paths[i, -1]), g, d)
                for i, b, g, d in zip(
                    dataset.item[start:end],
                    dataset.behavior[start:end],
                    dataset.interval[start:end],
                    dataset.dwell[start:end],
                    strict=True,
                )
            ]
        )
    return sessions


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs())
def test_well_formed_sessions_come_back(tmp_path, log):
    levels, sessions = log
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    source = write_log(tmp_path / "log.txt", *map(to_line, sessions))
    kept = [session for session in sessions if len({event[0] for event in session}) > 1]
    if not kept:
        with pytest.raises(HupError, match="two item runs"):
            prepare(source, out=out)
        assert not out.exists()
        return
    dataset = prepare(source, out=out)
    assert dataset.levels == levels
    assert read_back(dataset) == kept
    numbers = [index + 1 for index, session in enumerate(sessions) if session in kept]
    assert [dataset.session_name(i) for i in range(len(dataset))] == [f"log.txt:{n}" for n in numbers]
    assert dataset.manifest.rejects.rows == len(sessions) - len(kept)


def test_codes_follow_first_appearance(tmp_path):
    source = write_log(tmp_path / "log.txt", "b+1+y/u+1+1 a+1+x/u+1+1", "c+1+y/v+1+1 b+1+y/u+1+1 a+1+x/u+1+1")
    dataset = prepare(source, out=tmp_path / "out")
    assert dataset.item_names == ["b", "a", "c"]
    assert dataset.item.tolist() == [0, 1, 2, 0, 1]
    assert dataset.taxonomy.names == (["y", "x"], ["u", "u", "v"])
    assert [parents.tolist() for parents in dataset.taxonomy.parents] == [[-1, -1], [0, 1, 0]]
    assert dataset.taxonomy.paths.tolist() == [[0, 0], [1, 1], [0, 2]]
    tree = pq.read_table(tmp_path / "out/taxonomy.parquet").to_pylist()
    assert tree[2] == {"level": 2, "code": 0, "category": "u", "parent": 0, "items": 1, "events": 2, "path": "y > u"}
    assert [row["events"] for row in tree] == [3, 2, 2, 2, 1]


def test_training_vocabulary_is_a_prefix(tmp_path):
    lines = [f"i{n}+1+c{n // 3}+1+1 i{n + 1}+1+c{(n + 1) // 3}+1+1" for n in range(20)]
    dataset = prepare(write_log(tmp_path / "log.txt", *lines), out=tmp_path / "out")
    assert [dataset.sessions(name) for name in ("train", "validation", "test")] == [
        range(14),
        range(14, 16),
        range(16, 20),
    ]
    train = dataset.item[: dataset.offsets[14]]
    assert sorted(set(train.tolist())) == list(range(dataset.n_train_items))
    assert dataset.n_train_items == 15
    assert dataset.n_train_categories == (5,)
    assert dataset.manifest.train.test_targets_known == 0.0


@pytest.fixture
def log(tmp_path):
    """Three hundred sessions, some broken tokens."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(300):
        items = rng.integers(0, 40, rng.integers(1, 12))
        lines.append(" ".join(f"{i}+{rng.integers(1, 11)}+{i % 3}/{i % 6}+{rng.integers(99)}+7" for i in items))
    lines[7] += " 3+1+1/1+x+7"
    return write_log(tmp_path / "log.txt", *lines)


def test_packing_and_place_do_not_matter(tmp_path, log):
    plain = prepare(log, out=tmp_path / "plain")
    (tmp_path / "far/away").mkdir(parents=True)
    gz = tmp_path / "far/away/log.txt.gz"
    half = len(log.read_bytes()) // 2
    # Two members, cut in the middle of a line, as `cat a.gz b.gz` makes them.
    gz.write_bytes(gzip.compress(log.read_bytes()[:half]) + gzip.compress(log.read_bytes()[half:]))
    zst = tmp_path / "far/log.txt.zst"
    pack = zstandard.ZstdCompressor().compress
    zst.write_bytes(pack(log.read_bytes()[:half]) + pack(log.read_bytes()[half:]))
    windows = tmp_path / "far/away/crlf/log.txt"
    windows.parent.mkdir()
    windows.write_bytes(b"\xef\xbb\xbf" + log.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    for number, source in enumerate((gz, zst, windows, windows.parent)):
        other = prepare(source, out=tmp_path / f"out{number}")
        assert other.fingerprint == plain.fingerprint
        rejects = [pq.read_table(dataset.path / "rejects.parquet") for dataset in (plain, other)]
        assert rejects[0].equals(rejects[1])


def test_threads_and_memory_do_not_matter(tmp_path, log, monkeypatch):
    expected = prepare(log, out=tmp_path / "a").fingerprint
    assert prepare(log, out=tmp_path / "b", memory_limit="100MB").fingerprint == expected
    begin = DuckDBEngine.__init__

    def with_many_threads(self, *arguments):
        begin(self, *arguments)
        self._connection.execute("SET threads = 7")

    monkeypatch.setattr(DuckDBEngine, "__init__", with_many_threads)
    monkeypatch.setattr("hup.data.line_blocks.BLOCK_BYTES", 1000)
    assert prepare(log, out=tmp_path / "c").fingerprint == expected


def test_fingerprint_tells_content_apart(tmp_path):
    lines = ["a+1+x+1+1 b+1+x+1+1", "b+2+x+1+1 a+1+x+1+1"]
    base = prepare(write_log(tmp_path / "log.txt", *lines), out=tmp_path / "base").fingerprint
    changes = {
        "behavior": [lines[0], lines[1].replace("+2+", "+3+")],
        "dwell": [lines[0].replace("+1+1 b", "+1+2 b"), lines[1]],
        "item": [lines[0].replace("a+", "z+"), lines[1]],
        "category": [line.replace("+x+", "+y+") for line in lines],
        "order": lines[::-1],
    }
    prints = {base}
    for name, changed in changes.items():
        prints.add(prepare(write_log(tmp_path / "log.txt", *changed), out=tmp_path / name).fingerprint)
    write_log(tmp_path / "log.txt", *lines)
    prints.add(prepare(tmp_path / "log.txt", out=tmp_path / "split", shares=(0.5, 0, 0.5)).fingerprint)
    assert len(prints) == len(changes) + 2


def test_random_split_permutes_sessions(tmp_path, log):
    in_order = prepare(log, out=tmp_path / "time")
    one, again, two = (
        prepare(log, out=tmp_path / f"random{n}", split="random", seed=seed) for n, seed in enumerate((1, 1, 2))
    )
    assert one.fingerprint == again.fingerprint
    assert one.fingerprint != two.fingerprint
    assert one.manifest.split.seed == 1
    names = [one.session_name(i) for i in range(len(one))]
    assert names != sorted(names, key=lambda name: int(name.partition(":")[2]))
    expected = dict(zip(map(in_order.session_name, range(len(in_order))), read_back(in_order), strict=True))
    assert dict(zip(names, read_back(one), strict=True)) == expected
    first_seen = list(dict.fromkeys(one.item.tolist()))
    assert first_seen == sorted(first_seen)


def test_several_sources_in_the_order_given(tmp_path):
    (tmp_path / "logs/old").mkdir(parents=True)
    for name, item in {"new.txt": "n", "old/b.txt": "b", "old/a.txt": "a", ".hidden": "h", "_SUCCESS": "s"}.items():
        write_log(tmp_path / "logs" / name, f"{item}1+1+x+1+1 {item}2+1+x+1+1")
    notes = []

    class Notes(Progress):
        def note(self, message):
            notes.append(message)

    dataset = prepare([tmp_path / "logs/old/*.txt", tmp_path / "logs"], out=tmp_path / "out", progress=Notes())
    assert [dataset.session_name(i) for i in range(3)] == ["old/a.txt:1", "old/b.txt:1", "new.txt:1"]
    assert [(source.file, source.lines, source.used_events) for source in dataset.manifest.sources] == [
        ("old/a.txt", 1, 2),
        ("old/b.txt", 1, 2),
        ("new.txt", 1, 2),
    ]
    assert len(notes) == 2
    assert all("used once" in note for note in notes)


def test_a_dataset_inside_its_source_folder_is_not_read(tmp_path):
    write_log(tmp_path / "log.txt", "a+1+x+1+1 b+1+x+1+1")
    first = prepare(tmp_path, out=tmp_path / "out")
    second = prepare(tmp_path, out=tmp_path / "out", overwrite=True)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "Format 'xml'"),
        ({"levels": 0}, "category levels is 0"),
        ({"max_reject_share": 5}, "share of rejects is 5"),
        ({"split": "user"}, "Split 'user'"),
        ({"shares": (0.7, 0.3)}, "0.7,0.3"),
        ({"shares": (0.7, 0.2, 0.2)}, "sum to 1"),
        ({"shares": (0, 0.5, 0.5)}, "more than 0"),
        ({"memory_limit": "lots"}, "'lots' is not a size"),
    ],
)
def test_options_are_checked(tmp_path, options, message):
    source = write_log(tmp_path / "log.txt", "a+1+x+1+1 b+1+x+1+1")
    with pytest.raises(HupError, match=message):
        prepare(source, out=tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


def test_returned_dataset_is_the_one_on_disk(tmp_path, log):
    dataset = prepare(log, out=tmp_path / "new/out")
    opened = Dataset.open(tmp_path / "new/out")
    assert opened.fingerprint == dataset.fingerprint
    assert sorted(path.name for path in opened.path.iterdir()) == [
        "events.arrow",
        "items.arrow",
        "manifest.json",
        "rejects.parquet",
        "sessions.arrow",
        "taxonomy.parquet",
    ]
    assert not opened.item.flags.writeable


def test_out_may_be_a_link_or_the_current_folder(tmp_path, log, monkeypatch):
    real = prepare(log, out=tmp_path / "real").path
    (tmp_path / "link").symlink_to(real)
    assert prepare(log, out=tmp_path / "link", overwrite=True).path == real.resolve()
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(real)
    assert prepare(log, out=".", overwrite=True).path == real.resolve()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "log.txt", "real"]

"""Broken input: good rows are used, bad ones are listed, too many are an error."""

import gzip

import pyarrow.parquet as pq
import pytest
import zstandard

from hup.data.dataset import Dataset
from hup.data.prepare import prepare
from hup.errors import HupError

GOOD = "a+1+x+1+1 b+1+y+1+1"
MANY = [GOOD] * 100


def prepare_lines(tmp_path, *lines, **options):
    source = tmp_path / "log.txt"
    source.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return prepare(source, out=tmp_path / "out", **options)


def rejects(dataset: Dataset):
    rows = pq.read_table(dataset.path / "rejects.parquet").to_pylist()
    assert dataset.manifest.rejects.rows == len(rows)
    assert sum(dataset.manifest.rejects.by_reason.values()) == len(rows)
    return [tuple(row.values()) for row in rows]


BAD_TOKENS = [
    ("a+1+x+1", "wrong number of fields: 4 instead of 5"),
    ("a+1+x+1+1+1", "wrong number of fields: 6 instead of 5"),
    ("junk", "wrong number of fields: 1 instead of 5"),
    ("+1+x+1+1", "item is empty"),
    ("a+11+x+1+1", "unknown behavior code: 11"),
    ("a+0+x+1+1", "unknown behavior code: 0"),
    ("a++x+1+1", "unknown behavior code: "),
    ("a+01+x+1+1", "unknown behavior code: 01"),
    ("a+1++1+1", "category is empty"),
    ("a+1+x+soon+1", "interval is not a number: soon"),
    ("a+1+x++1", "interval is not a number: "),
    ("a+1+x+-1+1", "interval is negative: -1"),
    ("a+1+x+nan+1", "interval is not finite: nan"),
    ("a+1+x+1e99+1", "interval is not finite: 1e99"),
    ("a+1+x+1+late", "dwell is not a number: late"),
    ("a+1+x+1+-0.5", "dwell is negative: -0.5"),
    ("a+1+x+1+inf", "dwell is not finite: inf"),
    ("a+1+x/u+1+1", "category path has another depth: 2 instead of 1"),
    ("a+1+/+1+1", "category path has an empty part: /"),
]


def test_bad_tokens_go_and_their_sessions_stay(tmp_path):
    lines = [f"a+1+x+1+1 {token} b+1+y+1+1" for token, _ in BAD_TOKENS]
    dataset = prepare_lines(tmp_path, *MANY, *lines, max_reject_share=0.1)
    assert rejects(dataset) == [
        ("log.txt", 101 + place, token, reason, "dropped") for place, (token, reason) in enumerate(BAD_TOKENS)
    ]
    assert len(dataset) == 100 + len(BAD_TOKENS)
    assert dataset.item.tolist() == [0, 1] * len(dataset)


def test_bad_lines(tmp_path):
    dataset = prepare_lines(tmp_path, *MANY, "", "  ", b"a+1+x+1+1 b\xff+1+y+1+1", "é+1+x+1+1 b+1+y+1+1")
    assert rejects(dataset) == [
        ("log.txt", 101, None, "empty line", "dropped"),
        ("log.txt", 102, None, "empty line", "dropped"),
        ("log.txt", 103, None, "line is not UTF-8: byte 0xff at column 12", "dropped"),
    ]
    assert dataset.session_name(100) == "log.txt:104"
    assert dataset.item_names == ["a", "b", "é"]


def test_line_too_long_to_be_a_session(tmp_path, monkeypatch):
    monkeypatch.setattr("hup.data.line_blocks.BLOCK_BYTES", 64)
    monkeypatch.setattr("hup.data.jd_lines.MAX_LINE_BYTES", 1000)
    dataset = prepare_lines(tmp_path, *MANY, "z" * 5000, GOOD)
    assert [row[1] for row in rejects(dataset)] == [101]
    assert dataset.session_name(100) == "log.txt:102"


def test_short_sessions_do_not_count_as_malformed(tmp_path):
    dataset = prepare_lines(tmp_path, GOOD, *["a+1+x+1+1 a+2+x+1+1"] * 50, max_reject_share=0)
    assert rejects(dataset) == [
        ("log.txt", line, None, "session has fewer than two item runs", "session dropped") for line in range(2, 52)
    ]
    assert len(dataset) == 1


def test_bad_tokens_can_make_a_session_short(tmp_path):
    dataset = prepare_lines(tmp_path, *MANY, "a+1+x+1+1 b+99+y+1+1")
    assert [row[3:] for row in rejects(dataset)] == [
        ("session has fewer than two item runs", "session dropped"),
        ("unknown behavior code: 99", "dropped"),
    ]


def test_item_under_two_categories_takes_the_most_frequent(tmp_path):
    dataset = prepare_lines(tmp_path, "a+1+y+1+2.5 b+1+y+1+1", *MANY)
    assert rejects(dataset) == [
        ("log.txt", 1, "a+1+y+1+2.5", "item has another category: y instead of x", "recategorised")
    ]
    assert len(dataset.item) == 202
    categories = [dataset.taxonomy.names[0][code] for code in dataset.taxonomy.paths[dataset.item[:2], 0]]
    assert categories == ["x", "y"]


def test_item_under_two_categories_equally_often_takes_the_first(tmp_path):
    lines = ["a+1+x+1+1 a+1+y+1+1 b+1+x+1+1", "b+1+x+1+1 a+1+y+1+1 a+1+x+1+1"]
    dataset = prepare_lines(tmp_path, *lines, max_reject_share=1)
    assert dataset.taxonomy.names == (["x"],)
    assert [row[1] for row in rejects(dataset)] == [1, 2]


def test_categories_of_dropped_sessions_leave_no_trace(tmp_path):
    dataset = prepare_lines(tmp_path, "z+1+unused+1+1 z+1+odd+1+1", *MANY)
    assert dataset.taxonomy.names == (["x", "y"],)
    assert dataset.item_names == ["a", "b"]
    assert [row[4] for row in rejects(dataset)] == ["session dropped"]


def test_depth_is_that_of_most_or_the_one_asked_for(tmp_path):
    lines = ["a+1+x/u+1+1 b+1+y/v+1+1 c+1+x+1+1 d+1+y+1+1 e+1+y/w+1+1"] * 3
    assert prepare_lines(tmp_path, *lines, max_reject_share=1).levels == 2
    flat = prepare_lines(tmp_path, *lines, max_reject_share=1, levels=1, overwrite=True)
    assert flat.item_names == ["c", "d"]


def test_too_many_rejects(tmp_path):
    lines = [*["a+1+x+1+1 b+1+y+x+1"] * 3, "", *MANY[:47]]
    assert len(prepare_lines(tmp_path, *lines, max_reject_share=0.05)) == 47
    with pytest.raises(HupError) as error:
        prepare_lines(tmp_path, *lines, max_reject_share=0.03, overwrite=True)
    message = str(error.value)
    kept = tmp_path / "out.rejects.parquet"
    for part in (
        "4.0% of 101",
        "limit is 3.0%",
        "--max-reject-share",
        "log.txt:1",
        "'b+1+y+x+1'",
        "empty line",
        str(kept),
    ):
        assert part in message
    assert pq.read_table(kept).num_rows == 7
    assert len(Dataset.open(tmp_path / "out")) == 47
    prepare_lines(tmp_path, *lines, overwrite=True)
    assert not kept.exists()


@pytest.mark.parametrize("lines", [[""], ["a+1+x+1+1"], ["a+1+x+1+1", "b+1+x+1+1 b+2+x+1+1"], ["junk"], [b"\xff"]])
def test_nothing_usable(tmp_path, lines):
    with pytest.raises(HupError, match=r"No usable session|malformed"):
        prepare_lines(tmp_path, *lines)
    with pytest.raises(HupError, match="No usable session"):
        prepare_lines(tmp_path, *lines, max_reject_share=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "out.rejects.parquet"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("block", [1 << 22, 500])
def test_compressed_file_that_breaks_off(tmp_path, suffix, block, monkeypatch):
    monkeypatch.setattr("hup.data.line_blocks.BLOCK_BYTES", block)
    lines = [f"i{n * 7919 % 1000}+1+x+{n}+1 j{n}+1+y+1+{n}" for n in range(20_000)]
    text = ("\n".join(lines) + "\n").encode()
    packed = gzip.compress(text) if suffix == ".gz" else zstandard.ZstdCompressor().compress(text)
    source = tmp_path / f"log.txt{suffix}"
    # Zstandard hands out whole blocks only, 128 KiB of text each.
    source.write_bytes(packed[: len(packed) * 3 // 4])
    dataset = prepare(source, out=tmp_path / "out")
    [(file, line, token, reason, effect)] = rejects(dataset)
    assert (file, token, effect) == ("log.txt", None, "dropped")
    assert "stream ends early" in reason
    assert line == len(dataset) + 1
    assert 1000 < len(dataset) < 20_000
    last = dataset.offsets[-2]
    assert dataset.item_names[dataset.item[last + 1]] == f"j{line - 2}"


def test_compressed_file_that_is_none(tmp_path):
    (tmp_path / "good.txt").write_text("\n".join(MANY))
    (tmp_path / "bad.txt.gz").write_text(GOOD)
    dataset = prepare([tmp_path / "good.txt", tmp_path / "bad.txt.gz"], out=tmp_path / "out")
    [(file, line, _, reason, _)] = rejects(dataset)
    assert (file, line) == ("bad.txt", 1)
    assert "gzip stream is damaged after 0 bytes" in reason


def test_empty_file_beside_a_good_one(tmp_path):
    for name, content in {"a.txt": b"", "b.txt": GOOD.encode(), "c.txt.gz": gzip.compress(b"")}.items():
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt.gz")]
    dataset = prepare(files, out=tmp_path / "out")
    assert rejects(dataset) == [
        ("a.txt", None, None, "file is empty", "dropped"),
        ("c.txt", None, None, "file is empty", "dropped"),
    ]
    assert dataset.session_name(0) == "b.txt:1"
    assert [source.used_events for source in dataset.manifest.sources] == [0, 2, 0]


def test_empty_file_alone(tmp_path):
    (tmp_path / "log.txt").touch()
    with pytest.raises(HupError, match="file is empty"):
        prepare(tmp_path / "log.txt", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.txt", "no file or folder"),
        ("missing/*.txt", "No file matches"),
        ("empty", "holds no files"),
        (None, "No source"),
    ],
)
def test_missing_input(tmp_path, source, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(HupError, match=message):
        prepare([] if source is None else tmp_path / source, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_spaces_in_a_row_are_no_token(tmp_path):
    dataset = prepare_lines(tmp_path, " a+1+x+1+1  a+2+x+1+1   b+1+y+1+1 ")
    assert rejects(dataset) == []
    assert dataset.behavior.tolist() == [0, 1, 0]


def test_a_log_with_other_separators_is_not_shown_whole(tmp_path):
    with pytest.raises(HupError, match="wrong number of fields") as told:
        prepare_lines(tmp_path, *["\t".join(["a+1+x+1+1"] * 5_000)] * 3)
    assert len(str(told.value)) < 1_000

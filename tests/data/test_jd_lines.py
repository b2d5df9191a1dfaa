"""Splitting bytes into lines, whatever the blocks."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hup.data import line_blocks
from hup.data.engines.reader import SourceFile
from hup.data.jd_lines import LineReader
from hup.data.progress import Progress


def read(tmp_path, *contents):
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(content)
        files.append(SourceFile(path, path.name, len(content)))
    reader = LineReader(files, Progress())
    return reader, reader.stream().read_all()


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\ufeff")).map(str.rstrip), max_size=20),
    block=st.integers(1, 40),
    ending=st.sampled_from(["\n", "\r\n", " \n"]),
    last=st.booleans(),
)
def test_lines_come_back_whatever_the_block(tmp_path_factory, lines, block, ending, last):
    text = ending.join(lines) + (ending if last else "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_blocks, "BLOCK_BYTES", block)
        reader, table = read(tmp_path_factory.mktemp("lines"), text.encode())
    expected = text.replace("\r", "").split("\n")
    expected = [line.rstrip(" ") for line in (expected[:-1] if not expected[-1] else expected)]
    good = [(number, line) for number, line in enumerate(expected) if line]
    assert list(zip(table["session"].to_pylist(), table["text"].to_pylist(), strict=True)) == good
    assert reader.lines == [len(expected)]
    bad = np.concatenate([np.empty(0, int), *reader.bad_sessions])
    assert sorted([*bad.tolist(), *(number for number, _ in good)]) == list(range(len(expected)))


def test_places_leave_room_for_every_token(tmp_path):
    _, table = read(tmp_path, b"a  b\n  \n\n   c", b" \nx")
    places, texts = table["place"].to_pylist(), table["text"].to_pylist()
    ends = [place + text.count(" ") for place, text in zip(places, texts, strict=True)]
    assert len(texts) == 3
    assert all(end < place for end, place in zip(ends, places[1:], strict=False))


def test_running_numbers_go_through_files_and_back(tmp_path):
    reader, table = read(tmp_path, b"a\nb\n", b"", b"c")
    assert table["session"].to_pylist() == [0, 1, 2]
    assert [(row.file, row.reason) for row in reader.file_rejects] == [("1.txt", "file is empty")]
    assert reader.sessions(np.array([2, 0, 1]))["session"].to_pylist() == ["2.txt:1", "0.txt:1", "0.txt:2"]
    files, lines = reader.places(np.array([1, 2]))
    assert (files.to_pylist(), lines.to_pylist()) == (["0.txt", "2.txt"], [2, 1])
    used = reader.sources(np.array([0, 2]), np.array([5, 7]))
    assert [(source.lines, source.used_events) for source in used] == [(2, 5), (0, 0), (1, 7)]


def test_bytes_that_are_not_utf8_cost_their_line_only(tmp_path):
    reader, table = read(tmp_path, b"good\n\xffbad\n\nb\xc3\nfine \xc3\xa9")
    assert table["text"].to_pylist() == ["good", "fine é"]
    assert np.concatenate(reader.bad_sessions).tolist() == [1, 2, 3]
    assert pa.chunked_array(reader.bad_reasons).to_pylist() == [
        "line is not UTF-8: byte 0xff at column 1",
        "empty line",
        "line is not UTF-8: byte 0xc3 at column 2",
    ]


def test_bytes_read_are_told(tmp_path):
    told = []

    class Told(Progress):
        def advance(self, amount):
            told.append(amount)

    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 10**6)
    list(LineReader([SourceFile(path, "log.txt", 10**6)], Told()).batches())
    assert sum(told) == 10**6

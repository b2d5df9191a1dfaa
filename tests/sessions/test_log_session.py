"""A session in the format of the log that a model was trained on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hup
from hup.data.manifest import Preparation
from hup.errors import HupError
from hup.recommender.kinds import load
from hup.recommender.popularity import Popularity
from hup.sessions.log_session import events_from_log

MAPPING = """
[[tables]]
user = "who"
session = "visit"
timestamp = "at"
item = "sku"
behavior = "did"
interval = "gap"

[categories]
columns = ["room", "kind"]

[behaviors]
names = { v = "view" }
"""
LOG = """who,visit,at,sku,did,gap,room,kind
ann,a1,2024-05-02T10:00:00+02:00,lamp,v,12,living,light
ann,a1,2024-05-02T10:00:12+02:00,sofa,cart,,living,seat
bob,b1,2024-05-02T09:00:00Z,sofa,v,30,living,seat
bob,b1,2024-05-02T09:00:30Z,lamp,v,,living,light
"""
SESSION = """who,visit,at,sku,did,gap,room,kind
eve,e1,2024-05-03T08:00:07.5Z,pan,cart,,kitchen,
eve,e1,2024-05-03T08:00:00Z,lamp,v,7.5,living,light
eve,e1,2024-05-03T10:00:09+02:00,rug,v,,,
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    (folder / "mapping.toml").write_text(MAPPING)
    (folder / "log.csv").write_text(LOG)
    dataset = hup.prepare(folder / "log.csv", map=folder / "mapping.toml", out=folder / "dataset", shares=(1, 0, 0))
    Popularity().fit(dataset).save_pretrained(folder / "model")
    return folder


@pytest.fixture
def read(folder, tmp_path):
    """Read a session as the model of the folder knows its log."""

    def read(text: str):
        model = load(folder / "model")
        (tmp_path / "session.csv").write_text(text)
        return events_from_log(tmp_path / "session.csv", model.preparation, model.vocabulary.levels)

    return read


def test_a_session_reads_as_the_log_does(read):
    first, second, third = read(SESSION)  # in order of time
    assert (first.item, first.behavior, first.categories, first.interval) == ("lamp", "view", ("living", "light"), 7.5)
    assert (second.item, second.behavior, second.categories) == ("pan", "cart", ("kitchen", "kitchen"))
    assert (third.item, third.categories) == ("rug", ())
    assert [event.timestamp - first.timestamp for event in (second, third)] == [7.5, 9]
    assert (second.interval, first.dwell) == (None, None)


def test_other_files_of_the_same_columns_will_do(read, folder, tmp_path):
    columns = [line.split(",") for line in SESSION.splitlines()]
    table = pa.table({name: [row[place] or None for row in columns[1:]] for place, name in enumerate(columns[0])})
    pq.write_table(table, tmp_path / "session.parquet")
    assert events_from_log(tmp_path / "session.parquet", load(folder / "model").preparation, 2) == read(SESSION)


def test_one_event_is_a_session(read):
    assert len(read("\n".join(SESSION.splitlines()[:2]))) == 1


@pytest.mark.parametrize(
    ("found", "written", "message"),
    [
        ("2024-05-03T08:00:00Z", "soon", r"session\.csv, row 3: timestamp is not a time: soon\."),
        ("visit,at", "visit,when", "there is no column 'at'"),
        ("eve,e1,2024-05-03T08:00:00Z", "eve,e2,2024-05-03T08:00:00Z", "one session; it holds eve / e1 and eve / e2"),
        ("lamp,v,7.5,living,light", "lamp,v", "wrong number of fields"),
    ],
)
def test_what_is_wrong_is_told(read, found, written, message):
    with pytest.raises(HupError, match=message):
        read(SESSION.replace(found, written))


def test_what_is_not_there_is_told(folder, tmp_path):
    model = load(folder / "model")
    with pytest.raises(HupError, match=r"Cannot read the session .*absent\.csv: No such file"):
        events_from_log(tmp_path / "absent.csv", model.preparation, 2)
    with pytest.raises(HupError, match="of format jd: there is no mapping"):
        events_from_log(tmp_path / "absent.csv", Preparation(format="jd"), 2)


def test_the_command_reads_it_without_being_told(folder, tmp_path):
    from typer.testing import CliRunner

    from hup.cli import app

    (tmp_path / "session.csv").write_text(SESSION.replace("rug", "sofa"))

    def run(*arguments: object):
        return CliRunner().invoke(app, ["recommend", str(folder / "model"), *map(str, arguments)])

    done = run("--session", tmp_path / "session.csv", "--json")
    assert done.exit_code == 0, done.output
    assert '"name": "lamp"' in done.stdout
    assert "Behaviors" not in done.stderr
    other = run("--session", "-")
    assert other.exit_code == 1
    assert "A table is read from a file" in other.stderr

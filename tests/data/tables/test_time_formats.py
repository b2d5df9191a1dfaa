"""Times in an order of their own, read by a stated format and held to Python's strptime."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import TableSource
from hup.data.log_source import find_sources
from hup.data.progress import Progress
from hup.data.tables.log import read_log
from hup.data.tables.mapping import Mapping
from hup.errors import HupError

NOW = 1_750_000_000_000


def read(tmp_path, table, format=None, **rule):
    """Type the times ``t`` (and times of day ``d``) of a Parquet file; give microseconds, and reasons."""
    given = {"user": ["u"] * len(table), "item": ["i"] * len(table)}
    for name, values in given.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, tmp_path / "log.parquet")
    timestamp = {"column": "t", **({} if format is None else {"format": format}), **rule}
    tables = {"user": "user", "item": "item", "timestamp": timestamp, "behavior": {"value": "view"}}
    mapping = Mapping.validated({"tables": tables, "categories": {"none": True}})
    source = TableSource(files=tuple(find_sources([tmp_path / "log.parquet"], tmp_path / "out", print)))
    with DuckDBEngine(tmp_path / "engine") as engine:
        log = read_log(source, mapping, engine, Progress(), now_ms=NOW)
        rows = engine.collect(f'SELECT * FROM {log.rows} ORDER BY "row"').to_pylist()
    us = [None if row["time_ms"] is None else row["time_ms"] * 1000 + row["time_ns"] // 1000 for row in rows]
    return us, [row["reason"] for row in rows], log.guesses


def us_of(moment: dt.datetime) -> int:
    utc = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (utc - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("format", "texts"),
    [
        ("%m/%d/%y %H:%M", ["12/1/09 7:45", "12/13/09 19:05", " 1/1/10 00:00 "]),
        ("%d.%m.%Y %H:%M", ["01.05.2024 09:00", "1.5.2024 9:00", "31.12.2023 23:59"]),
        ("%d/%m/%Y %H:%M:%S.%f", ["01/05/2024 09:00:01.25", "01/05/2024 09:00:01.000001"]),
        ("%d-%b-%Y %I:%M %p", ["01-May-2024 09:00 PM", "1-dec-2023 12:00 am"]),
        ("%B %d, %Y", ["May 1, 2024"]),
        ("%Y/%m/%d %H:%M:%S %z", ["2024/05/01 09:00:00 +0200", "2024/05/01 09:00:00 -0400"]),
        ("%Y%m%d", ["20240501", "20231231"]),
    ],
)
def test_formats_mean_what_they_mean_to_python(tmp_path, format, texts):
    us, reasons, _ = read(tmp_path, pa.table({"t": texts}), format)
    assert us == [us_of(dt.datetime.strptime(text.strip(), format)) for text in texts]
    assert reasons == [None] * len(texts)


def test_what_is_of_another_format_is_a_reject(tmp_path):
    texts = ["12/1/09 7:45", "13/1/09 7:45", "2/30/09 7:45", "2009-12-01 07:45", "12/1/09", "1259653500", ""]
    us, reasons, _ = read(tmp_path, pa.table({"t": texts}), "%m/%d/%y %H:%M")
    assert us[0] == us_of(dt.datetime(2009, 12, 1, 7, 45))
    assert reasons == [
        None,
        *(f"timestamp is not a time: {text}" for text in texts[1:-1]),
        "timestamp is missing",
    ]


def test_formatted_times_are_read_in_the_zone(tmp_path):
    us, _, guesses = read(tmp_path, pa.table({"t": ["1.7.2024 12:00"]}), "%d.%m.%Y %H:%M", zone="America/New_York")
    assert us == [us_of(dt.datetime(2024, 7, 1, 16))]
    assert guesses == ("t: times without a zone, read in America/New_York, 2024-07-01.",)
    zoned, _, guesses = read(
        tmp_path, pa.table({"t": ["1.7.2024 12:00 +0200"]}), "%d.%m.%Y %H:%M %z", zone="Asia/Tokyo"
    )
    assert zoned == [us_of(dt.datetime(2024, 7, 1, 10))]
    assert guesses == ("t: times with a zone, 2024-07-01.",)


@pytest.mark.parametrize("date", ["1.5.2024", "1.5.2024 0:00"])
def test_a_format_reads_the_date_and_the_time_of_day_joined(tmp_path, date):
    table = pa.table({"t": [date], "d": ["9:30:05"]})
    us, reasons, _ = read(tmp_path, table, "%d.%m.%Y %H:%M:%S", time="d")
    assert (us, reasons) == ([us_of(dt.datetime(2024, 5, 1, 9, 30, 5))], [None])


def test_days_written_as_numbers_have_a_format_and_timestamps_need_none(tmp_path):
    assert read(tmp_path, pa.table({"t": [20240501]}), "%Y%m%d")[0] == [us_of(dt.datetime(2024, 5, 1))]
    moment = dt.datetime(2024, 5, 1, 9)
    assert read(tmp_path, pa.table({"t": [moment]}), "%d.%m.%Y")[0] == [us_of(moment)]


@pytest.mark.parametrize("values", [["1.5.2024", "2.5.2024"], [1_714_521_600, 1_714_608_000]])
def test_times_that_are_all_at_midnight_are_told(tmp_path, values):
    format = "%d.%m.%Y" if isinstance(values[0], str) else None
    assert "all times are at midnight" in read(tmp_path, pa.table({"t": values}), format)[2][-1]
    later = [values[0], *(["2.5.2024"] if format else [values[1] + 1])]
    told = read(tmp_path, pa.table({"t": later}), format)[2]
    assert ("all times are at midnight" in told[-1]) == bool(format)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"format": "%d.%m.%Q"}, "%Q in '%d.%m.%Q' is not known; expected %Y, %y"),
        ({"format": "%d.%m %H:%M"}, "tells no day; expected year, month and day"),
        ({"format": "%d.%m.%Y", "unit": "ms"}, "format is that of text, but unit ms is one of numbers"),
        ({"formt": "%d.%m.%Y"}, r"there is no key tables\[0\].timestamp.formt \(nearest: format\)"),
    ],
)
def test_formats_that_are_none(tmp_path, rule, message):
    with pytest.raises(HupError, match=message):
        read(tmp_path, pa.table({"t": ["1"]}), **rule)

"""Times in every shape a log may have them, held to Python's own datetime."""

from __future__ import annotations

import datetime as dt
import decimal
import random
import re
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import select, sql_types
from hup.data.tables.mapping_rules import TimestampRule
from hup.data.tables.time_parts import iso_text, shown_time, time_columns, with_time_parts
from hup.data.tables.timestamps import decide_reading, time_ms, time_ns, zone_changes
from hup.data.tables.values import present
from hup.errors import HupError

NOW = int(dt.datetime(2024, 6, 1, tzinfo=dt.UTC).timestamp()) * 1000
OCTOBER = 1_569_888_000  # 2019-10-01 00:00:00 UTC


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with DuckDBEngine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def read(engine, values, now_ms=NOW, **rule):
    """Give the times of a column, the texts shown for them, and the guesses."""
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    table = pa.table({"n": range(len(column)), "t": column})
    engine.register("times", table)
    kind = sql_types(table.schema)["t"]
    told = f"SELECT n, {present('t', kind, ('NULL',))} AS told_time FROM times"
    engine.create_table("parts", with_time_parts(told, kind, "t", "log.csv"))
    parts = time_columns(kind)
    reading = decide_reading("parts", (kind,), TimestampRule(column=("t",), **rule), "t", engine, now_ms, "log.csv")
    read = {"ms": time_ms(parts, reading), "ns": time_ns(parts, reading), "shown": shown_time(parts)}
    engine.create_table("read", select({"n": "n", **read}, "parts"))
    found = engine.collect("SELECT * FROM read ORDER BY n")
    return found["ms"].to_pylist(), found["shown"].to_pylist(), reading


def times(engine, values, **rule):
    return read(engine, values, **rule)[0]


def to_ms(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1, tzinfo=moment.tzinfo)) // dt.timedelta(milliseconds=1)


# Digits beyond milliseconds


NANOS = OCTOBER * 10**9 + 123_456_789  # 0.123456789 s


@pytest.mark.parametrize(
    ("value", "kind", "ns"),
    [
        ("2019-10-01T00:00:00.123456789Z", None, 456_789),
        ("2019-10-01 00:00:00,1234567891", None, 456_789),
        ("2019-10-01 00:00:00.1234", None, 400_000),
        ("2019-10-01 00:00:00.123", None, 0),
        (f"{OCTOBER}.1234567899", None, 456_789),
        (f"{OCTOBER}123.456789", None, 456_789),
        (f"{OCTOBER}123456.789", None, 456_789),
        (str(NANOS), None, 456_789),
        (NANOS, pa.int64(), 456_789),
        (NANOS // 10**3, pa.int64(), 456_000),
        (NANOS, pa.timestamp("ns"), 456_789),
        (NANOS // 10**3, pa.timestamp("us"), 456_000),
        (NANOS // 10**3, pa.timestamp("us", tz="UTC"), 456_000),
        (NANOS // 10**6, pa.timestamp("ms"), 0),
        (decimal.Decimal(f"{OCTOBER}.123456789"), pa.decimal128(20, 9), 456_789),
        (OCTOBER + 0.123456, pa.float64(), 456_000),
        (OCTOBER * 1000 + 123.75, pa.float64(), 750_000),
    ],
)
def test_digits_beyond_milliseconds(engine, value, kind, ns):
    assert read(engine, pa.array([value], kind))[0] == [OCTOBER * 1000 + 123]
    assert engine.collect("SELECT ns FROM read")["ns"].to_pylist() == [ns]


def test_floats_are_cut_as_text_is(engine):
    """What is a thousandth in decimals is no less for being a little less in binary, and 0.9 ms is none."""
    values = [OCTOBER + 0.123, OCTOBER + 0.1239, OCTOBER + 0.9999]
    assert times(engine, values) == [OCTOBER * 1000 + ms for ms in (123, 123, 999)]
    assert times(engine, [OCTOBER * 1000 + 0.75, OCTOBER * 1000 + 1.25]) == [OCTOBER * 1000, OCTOBER * 1000 + 1]


# Text


def random_moment(rng, first=dt.datetime(1970, 1, 1), last=dt.datetime(2099, 12, 31)):
    return first + dt.timedelta(microseconds=rng.randrange((last - first) // dt.timedelta(microseconds=1)))


def iso_text_of(rng):
    moment = random_moment(rng)
    shape = rng.choice(["date", "minutes", "seconds", "decimals"])
    if shape == "date":
        return f"{moment:%Y-%m-%d}"
    text = f"{moment:%Y-%m-%d}{rng.choice('T ')}{moment:%H:%M}"
    if shape != "minutes":
        text += f":{moment:%S}"
    if shape == "decimals":
        text += rng.choice(".,") + "".join(rng.choices("0123456789", k=rng.randint(1, 9)))
    return text + rng.choice(["", "Z", " Z", "UTC", " UTC", " GMT", "+02:00", "-0530", " +14", "-00:30", "+1245"])


SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"(?: ?(?:(Z|UTC|GMT)|([+-])(\d\d)(?::?(\d\d))?))?)?",
    re.ASCII,
)


def reference(text: str) -> int | None:
    """Read text with Python's datetime; None where it is no time."""
    match = SHAPE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, decimals, _name, sign, zone_hours, zone_minutes = match.groups("0")
    offset = dt.timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) * (-1 if sign == "-" else 1)
    if int(zone_hours) > 15 or int(zone_minutes) > 59 or int(year) == 0:
        return None
    try:
        moment = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
    except ValueError:
        return None
    return to_ms(moment) + int(decimals.ljust(3, "0")[:3]) - offset // dt.timedelta(milliseconds=1)


def differences(texts, found, expected):
    return [row for row in zip(texts, found, expected, strict=True) if row[1] != row[2]]


def test_iso_text_is_read_as_python_reads_it(engine):
    rng = random.Random(1)
    texts = [iso_text_of(rng) for _ in range(5000)]
    expected = [reference(text) for text in texts]
    assert None not in expected
    assert differences(texts, times(engine, texts), expected) == []


def spoilt_text(rng):
    text = iso_text_of(rng)
    place = rng.randrange(len(text))
    return text[:place] + rng.choice("0123456789:-+TZ .,U") + text[place + rng.randint(0, 1) :]


def test_spoilt_text_is_read_only_where_python_reads_it(engine):
    rng = random.Random(2)
    texts = ["2019-02-29", "2020-02-29", "2100-02-29", "2000-02-29", "2019-04-31", "2019-00-10", "2019-01-00"]
    texts += [text for text in (spoilt_text(rng).strip() for _ in range(10_000)) if text[:4] != "0000"]
    expected = [reference(text) for text in texts]
    assert 5000 < expected.count(None) < 9000
    assert differences(texts, times(engine, texts), expected) == []


@pytest.mark.parametrize(
    "text",
    [
        "2019-02-30", "2019-10-01 25:00:00", "2019-10-01 24:00", "2019-10-01 23:59:60", "2019-10-01 10:61",
        "2019-13-01", "01.10.2019", "10/01/2019", "yesterday", "2019-10-01 10:00 CET", "2019-10-01 10:00 +16:00",
        "2019-10-01 10", "2019-10-01Z", "-2019-10-01", "٢019-10-01", "2019-10-01 10:00:00.", "-5", "1e9", "0x10",
    ],
)  # fmt: skip
def test_what_is_no_time(engine, text):
    good = ["2019-10-01 00:00"] * 3
    found, shown, _ = read(engine, [*good, text])
    assert found == [OCTOBER * 1000] * 3 + [None]
    assert shown[3] == text


def test_blanks_around_text_and_null_texts(engine):
    texts = [" 2019-10-01\n", "\t2019-10-01 00:00 ", "NULL", "", "  ", None]
    assert times(engine, texts) == [OCTOBER * 1000] * 2 + [None] * 4
    assert read(engine, texts)[1][2:] == [None] * 4


# Zones


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
)
def test_times_without_zone_are_read_in_the_mappings(engine, zone):
    rng = random.Random(3)
    spans = [(2005, 1, 1, 4000), (2023, 3, 25, 2), (2023, 10, 28, 2), (2011, 12, 29, 3)]
    starts = [(dt.datetime(*day), dt.timedelta(days=days)) for *day, days in spans for _ in range(500)]
    walls = [random_moment(rng, start, start + span) for start, span in starts]
    ms = dt.timedelta(milliseconds=1)
    expected = [to_ms(wall) - wall.replace(tzinfo=ZoneInfo(zone)).utcoffset() // ms for wall in walls]
    texts = [f"{wall:%Y-%m-%d %H:%M:%S.%f}" for wall in walls]
    assert differences(texts, times(engine, texts, zone=zone), expected) == []
    assert differences(texts, times(engine, pa.array(walls, pa.timestamp("us")), zone=zone), expected) == []


def test_twice_shown_hour_is_the_first_and_skipped_hour_is_not_set_yet(engine):
    found = times(engine, ["2023-10-29 02:30", "2023-03-26 02:30", "2023-10-29 02:30+01:00"], zone="Europe/Berlin")
    assert found == [to_ms(dt.datetime(2023, 10, 29, 0, 30)), to_ms(dt.datetime(2023, 3, 26, 1, 30)),
                     to_ms(dt.datetime(2023, 10, 29, 1, 30))]  # fmt: skip


def test_changes_of_clocks_are_found_to_the_millisecond():
    first, last = (to_ms(dt.datetime(2023, month, 1)) for month in (1, 12))
    hour = 3_600_000
    spring, autumn = to_ms(dt.datetime(2023, 3, 26, 3)), to_ms(dt.datetime(2023, 10, 29, 3))
    assert zone_changes("Europe/Berlin", first, last) == (hour, [(spring, 2 * hour), (autumn, hour)])
    assert zone_changes("UTC", first, last) == (0, [])
    assert zone_changes("Europe/Berlin", first, first) == (hour, [])


def test_mixed_zones_are_told(engine):
    texts = ["2023-07-01 12:00", "2023-07-01 12:00Z", "2023-07-01 12:00+05:00"]
    found, _, reading = read(engine, texts, zone="Europe/Berlin")
    noon = to_ms(dt.datetime(2023, 7, 1, 12))
    assert found == [noon - 2 * 3_600_000, noon, noon - 5 * 3_600_000]
    assert reading.guesses == ("t: 2 times name a zone and 1 do not: these are read in Europe/Berlin; 2023-07-01.",)


# Numbers


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.string(), pa.decimal128(38, 0), pa.float64()])
def test_unit_is_guessed_by_size(engine, unit, factor, kind):
    numbers = [(OCTOBER + second) * factor for second in (0, 1024, 102_400)]  # so that they are doubles, too
    found, _, reading = read(engine, pa.array([*numbers, None]).cast(kind, safe=False))
    assert found == [number // factor * 1000 for number in numbers] + [None]
    assert reading.unit == unit
    assert "2019-10-01 to 2019-10-02" in reading.guesses[0]
    assert times(engine, pa.array(numbers).cast(kind, safe=False), unit=unit) == found[:3]


def test_small_integers_types(engine):
    assert times(engine, pa.array([OCTOBER, None], pa.int32())) == [OCTOBER * 1000, None]


def test_nanoseconds_lose_only_what_is_below_milliseconds(engine):
    rng = random.Random(4)
    numbers = [10**17, 10**17 + 10**6 - 1, *(rng.randint(10**17, 2 * 10**18) for _ in range(3000))]
    numbers += [number // 10**6 * 10**6 + rest for number in numbers[:500] for rest in (-1, 0, 1)]
    assert times(engine, numbers) == [number // 10**6 for number in numbers]


def test_fractions_of_seconds(engine):
    assert times(engine, [f"{OCTOBER}.25", f"{OCTOBER}.", f"{OCTOBER}.9999"]) == [
        OCTOBER * 1000 + rest for rest in (250, 0, 999)
    ]
    assert times(engine, [OCTOBER + 0.25, OCTOBER + 0.123, float("nan"), float("inf"), -1.5]) == [
        OCTOBER * 1000 + 250, OCTOBER * 1000 + 123, None, None, None]  # fmt: skip
    exact = [decimal.Decimal(f"{OCTOBER}.123456"), decimal.Decimal(f"{OCTOBER}.999999")]
    assert times(engine, exact) == [OCTOBER * 1000 + 123, OCTOBER * 1000 + 999]
    assert times(engine, [f"{OCTOBER}000.7"]) == [OCTOBER * 1000]


def test_numbers_that_are_no_times(engine):
    many = [OCTOBER] * 5
    found, shown, reading = read(engine, [*many, -3, 12, 2**62])
    assert found[5] is None
    assert shown[5:7] == ["-3", "12"]
    assert found[6] == 12_000 < reading.least_ms
    assert found[7] is None  # beyond what milliseconds can say
    assert reading.guesses[1] == "t: 2 of 7 numbers are of another size; not used."


@pytest.mark.parametrize(
    ("stated", "actual", "when"),
    [
        ("ms", "s", "January 1970"),
        ("us", "s", "January 1970"),
        ("s", "ms", "the year 51717"),
        ("ns", "ms", "January 1970"),
    ],
)
def test_stated_unit_that_makes_nonsense(engine, stated, actual, when):
    number = OCTOBER * {"s": 1, "ms": 1000}[actual]
    with pytest.raises(HupError, match=f"log.csv: times in 't' lie in {when} when read as {stated}") as error:
        times(engine, [number] * 3, unit=stated)
    assert f'set unit = "{actual}"' in str(error.value)


def test_small_numbers_need_a_unit(engine):
    with pytest.raises(HupError, match="most numbers in 't' are in no unit a time after 1973"):
        times(engine, [1, 2, 3])
    found, _, reading = read(engine, [1, 2, 3], unit="s")
    assert found == [1000, 2000, 3000]
    assert reading.least_ms == 0
    assert "shortly after 1970 when read as seconds" in reading.guesses[0]


def test_stated_kind_that_is_not_there(engine):
    with pytest.raises(HupError, match='dates as text, not numbers: set unit = "iso"'):
        times(engine, ["2019-10-01", "2019-10-02"], unit="s")
    with pytest.raises(HupError, match='are numbers, not dates as text: set unit = "auto"'):
        times(engine, [OCTOBER], unit="iso")


def test_numbers_and_dates_in_one_column(engine):
    found, _, reading = read(engine, [str(OCTOBER), "2019-10-01"])
    assert found == [OCTOBER * 1000] * 2
    assert "t: 1 values are numbers, 1 are dates." in reading.guesses
    assert times(engine, ["2019-10-01", "2019-10-01", str(OCTOBER)], unit="iso")[2] is None


def test_a_future_that_most_times_lie_in_is_told(engine):
    for values in (["2031-01-01"] * 3, [1_924_992_000] * 3, pa.array([dt.date(2031, 1, 1)] * 3)):
        assert "3 of 3 times lie in the future" in read(engine, values)[2].guesses[-1]
    assert len(read(engine, ["2031-01-01 12:00", "2019-01-01"])[2].guesses) == 1


# Other types


def test_native_timestamps_and_dates(engine):
    moment = dt.datetime(2023, 7, 1, 12, 30, 5, 999_999)
    expected = to_ms(moment)
    for unit in ("ms", "us", "ns"):
        assert times(engine, pa.array([moment, None], pa.timestamp("us")).cast(pa.timestamp(unit), safe=False)) == [
            expected, None]  # fmt: skip
    assert times(engine, pa.array([moment], pa.timestamp("us")).cast(pa.timestamp("s"), safe=False)) == [expected - 999]
    zoned = pa.array([moment], pa.timestamp("us", "UTC"))
    assert times(engine, zoned, zone="Europe/Berlin") == [expected]
    assert times(engine, pa.array([moment.date()]), zone="Europe/Berlin") == [
        to_ms(dt.datetime(2023, 7, 1)) - 7_200_000]  # fmt: skip
    last_nanosecond = pa.array([expected // 1000 * 10**9 + 999_999_999]).cast(pa.timestamp("ns"))
    assert times(engine, last_nanosecond, zone="Asia/Tokyo") == [expected - 9 * 3_600_000]


def test_native_timestamps_ignore_the_unit(engine):
    assert times(engine, pa.array([dt.datetime(2019, 10, 1)]), unit="s") == [OCTOBER * 1000]


def test_empty_and_null_columns(engine):
    for kind in (pa.null(), pa.int64(), pa.string(), pa.timestamp("ms"), pa.float64()):
        assert times(engine, pa.nulls(3, kind)) == [None] * 3
        assert times(engine, pa.nulls(0, kind)) == []
        assert read(engine, pa.nulls(3, kind))[2].guesses == ()


@pytest.mark.parametrize(
    ("values", "kind"),
    [([True], "true and false"), ([[1]], "lists"), ([{"a": 1}], "nested records"), ([b"x"], "bytes")],
)
def test_types_that_tell_no_time(engine, values, kind):
    with pytest.raises(HupError, match=f"log.csv: column 't' holds {kind}; expected timestamps, numbers or text"):
        times(engine, values)


def test_shown_times(engine):
    assert read(engine, pa.array([dt.datetime(2019, 10, 1, 3, 4, 5, 6000)]))[1] == ["2019-10-01 03:04:05.006"]
    assert read(engine, [OCTOBER, -7])[1] == [str(OCTOBER), "-7"]
    assert read(engine, [OCTOBER + 0.5, -7.25])[1] == [str(OCTOBER), "-7.25"]


def test_iso_text_writes_as_python_does(engine):
    rng = random.Random(5)
    moments = [random_moment(rng) for _ in range(2000)]
    engine.register("ms", pa.table({"n": range(len(moments)), "ms": [to_ms(moment) for moment in moments]}))
    found = engine.collect(f"SELECT {iso_text('ms')} AS text FROM ms ORDER BY n")["text"].to_pylist()
    assert found == [f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}" for moment in moments]

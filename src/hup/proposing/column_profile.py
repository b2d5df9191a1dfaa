"""What a sample tells about one column of a table."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from hup.data.tables.mapping import NULLS
from hup.proposing.synonyms import DEVICES, LIKELY_NULLS
from hup.proposing.time_formats import formats_of, has_time

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?( ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?))?)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]00:00(:00([.,]0*)?)?)?", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d?\d:\d\d(:\d\d([.,]\d+)?)?( ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?))?", re.ASCII)
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_NAME_WITH_POINT = re.compile(r"\d{6,}\.\d{6,}|-?\d+\.0+", re.ASCII)
_WHOLE_FLOAT = re.compile(r"-?\d+\.0+", re.ASCII)
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){3,7}", re.ASCII)
_FIRST_YEAR_SECONDS = 631_152_000  # 1990
_LAST_YEAR_SECONDS = 4_102_444_800  # 2100
_MOST = 0.9  # a share of values that counts as all but a few
_SHOWN_LETTERS = 24

TimeShape = Literal["native", "iso", "format", "s", "ms", "us", "ns"]


@dataclass(frozen=True)
class ColumnProfile:
    """A column of a sample.

    Attributes
    ----------
    name : str
    kind : DataType
        Its Arrow type.
    texts : tuple of str
        Values as text, without those that are missing.
    rows : int
        Rows of the sample.
    """

    name: str
    kind: pa.DataType
    texts: tuple[str, ...]
    rows: int

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs."""
        return Counter(self.texts)

    @property
    def distinct(self) -> int:
        """Number of different values."""
        return len(self.counts)

    @property
    def filled(self) -> float:
        """Share of rows that have a value, and none that stands for nothing."""
        return (len(self.texts) - sum(self.counts[text] for text in self.likely_nulls)) / max(self.rows, 1)

    @cached_property
    def unfit(self) -> str | None:
        """Why these are neither ids nor names of anything that a log is about, if they are not."""
        known = [text for text in self.counts if text not in self.likely_nulls]
        if len(known) == 1 and self.rows > 1:
            return "all values are alike"
        if self._mostly(lambda text: text[:1] + text[-1:] in ("[]", "{}")):
            return "it holds JSON"
        if self._mostly(lambda text: _IP.fullmatch(text) is not None):
            return "it holds IP addresses"
        if self._mostly(lambda text: text.casefold() in DEVICES or text.startswith("Mozilla/")):
            return "it holds devices"
        return None

    @cached_property
    def is_whole_float(self) -> bool:
        """Whether these are integers written as floats, in text."""
        is_text = pa.types.is_string(self.kind) or pa.types.is_large_string(self.kind)
        return bool(is_text) and self._mostly(lambda text: _WHOLE_FLOAT.fullmatch(text) is not None)

    @cached_property
    def is_number(self) -> bool:
        """Whether all but a few values are numbers."""
        return self._mostly(lambda text: _NUMBER.fullmatch(text) is not None)

    @cached_property
    def is_whole(self) -> bool:
        """Whether no value is a number with a fraction, besides those that only look like one.

        Two long numbers with a point between them are a client id of Google Analytics; 13085.0 is what pandas makes of
        an integer in a column with gaps.
        """
        fractions = (text for text in self.counts if "." in text and _NUMBER.fullmatch(text))
        return all(_NAME_WITH_POINT.fullmatch(text) for text in fractions)

    @cached_property
    def is_date(self) -> bool:
        """Whether these are dates without a time of day."""
        if self.time == "format":
            return not has_time(self.formats[0])
        return self.time in ("native", "iso") and self._mostly(lambda text: _DATE.fullmatch(text) is not None)

    @cached_property
    def is_time_of_day(self) -> bool:
        """Whether these are times of a day that stands elsewhere."""
        shaped = self._mostly(lambda text: _TIME_OF_DAY.fullmatch(text) is not None)
        return bool(pa.types.is_time(self.kind)) or shaped

    @property
    def may_name(self) -> bool:
        """Whether the values may be ids or names."""
        scalar = not (pa.types.is_nested(self.kind) or pa.types.is_boolean(self.kind) or pa.types.is_binary(self.kind))
        is_date = self.time in ("native", "iso") or (self.time == "format" and not self.is_number)
        is_time = is_date or self.is_time_of_day
        return scalar and self.is_whole and not is_time and self.unfit != "it holds JSON" and bool(self.texts)

    @cached_property
    def time(self) -> TimeShape | None:
        """How the values are written if they look like times."""
        if pa.types.is_timestamp(self.kind) or pa.types.is_date(self.kind):
            return "native"
        if self._mostly(lambda text: _ISO.fullmatch(text) is not None):
            return "iso"
        units: dict[TimeShape, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
        if self.is_number:
            for unit, per_second in units.items():
                first, last = _FIRST_YEAR_SECONDS * per_second, _LAST_YEAR_SECONDS * per_second
                if self._mostly(lambda text, a=first, b=last: _NUMBER.fullmatch(text) and a <= float(text) < b):
                    return unit
        return "format" if self.formats else None

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """Formats of dates in an order of their own; two where they do not tell days from months."""
        is_nested = pa.types.is_nested(self.kind)
        return () if is_nested else formats_of({text: n for text, n in self.counts.items() if text not in LIKELY_NULLS})

    @property
    def names_no_zone(self) -> bool:
        """Whether these are times of which most name no zone."""
        if self.time == "native":
            return pa.types.is_date(self.kind) or self.kind.tz is None
        if self.time == "format":
            return "%z" not in self.formats[0]
        return self.time == "iso" and self._mostly(lambda text: (_ISO.fullmatch(text) or [""] * 5)[4] is None)

    @cached_property
    def likely_nulls(self) -> list[str]:
        """Texts among the values that probably stand for nothing."""
        return [text for text in LIKELY_NULLS if text in self.counts]

    def examples(self, n: int = 3) -> str:
        """Write the most frequent values in one line."""
        shown = [_in_one_line(text) for text, _ in self.counts.most_common(n)]
        return ", ".join(shown) + (", …" if self.distinct > n else "")

    def _mostly(self, holds: Any) -> bool:
        fitting = sum(count for text, count in self.counts.items() if holds(text.strip()))
        return bool(self.texts) and fitting >= _MOST * len(self.texts)


def profile_columns(sample: pa.Table) -> list[ColumnProfile]:
    """Look at all columns of a sample."""
    return [
        ColumnProfile(name, sample.schema.field(name).type, tuple(_texts(sample[name].to_pylist())), len(sample))
        for name in sample.column_names
    ]


def _texts(values: Sequence[Any]) -> list[str]:
    texts = (value_text(value) for value in values)
    return [text for text in texts if text is not None and text.strip() not in NULLS]


def value_text(value: Any) -> str | None:
    """Give a value of a sample as text; whole floats as integers, None where it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat(" ") if isinstance(value, dt.datetime) else str(value)


def _in_one_line(text: str) -> str:
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain if len(plain) <= _SHOWN_LETTERS else plain[: _SHOWN_LETTERS - 1] + "…"

"""Dates written in an order of their own: every format that all of them have, as ``12/1/09`` alone tells none."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping

_DATE = re.compile(
    r"(?P<short>\d{1,2})(?P<s>[./-])\d{1,2}(?P=s)(?P<year>\d{4}|\d{2})"
    r"|\d{4}(?P<y>[./-])\d{1,2}(?P=y)\d{1,2}"
    r"|(?P<day>\d{1,2})(?P<n>[ -])(?P<month>[A-Za-z]{3,9})(?P=n)(?P<named>\d{4})"
    r"|(?P<first>[A-Za-z]{3,9}) \d{1,2}, \d{4}"
    r"|(?P<digits>(?:19|20)\d{6})"
)
_TIME = re.compile(
    r"\d{1,2}:\d\d(?P<second>:\d\d(?P<fraction>\.\d{1,6})?)?(?P<half> ?[AaPp][Mm])?(?P<zone> ?[+-]\d{4})?"
)
_BETWEEN = re.compile(r"[ ,T]{1,2}")
_LONGEST_SHORT_MONTH = 3
_MOST = 0.9


def formats_of(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Give the formats of strptime that all texts of the most usual shape have.

    Parameters
    ----------
    counts : mapping of str to int
        How often each text occurs.

    Returns
    -------
    tuple of str
        None where the texts are mostly no such dates; two where they do not tell days from months.
    """
    shapes: Counter[tuple[str, ...]] = Counter()
    texts: dict[tuple[str, ...], list[str]] = {}
    for text, count in counts.items():
        candidates = _candidates(text.strip())
        if candidates:
            shapes[candidates] += count
            texts.setdefault(candidates, []).append(text.strip())
    if not shapes:
        return ()
    candidates, count = shapes.most_common(1)[0]
    if count < _MOST * sum(counts.values()):
        return ()
    return tuple(format for format in candidates if all(_reads(text, format) for text in texts[candidates]))


def time_format(texts: Iterable[str]) -> str | None:
    """Give the format of times of day; None if they have several."""
    found = {_time(text.strip()) for text in texts}
    return found.pop() if len(found) == 1 else None


def reading(text: str, format: str) -> str:
    """Write what a text means in a format, for people."""
    moment = dt.datetime.strptime(text.strip(), format)
    return f"{moment.day} {moment:%B %Y}"


def has_time(format: str) -> bool:
    """Tell whether a format names a time of day."""
    return "%M" in format


def _reads(text: str, format: str) -> bool:
    try:
        dt.datetime.strptime(text, format)
    except ValueError:
        return False
    return True


def _candidates(text: str) -> tuple[str, ...]:
    """List the formats that a text of this shape may have."""
    date = _DATE.match(text)
    if date is None:
        return ()
    rest = text[date.end() :]
    ending = ""
    if rest:
        between = _BETWEEN.match(rest)
        time = _time(rest[between.end() :]) if between is not None else None
        if between is None or time is None:
            return ()
        ending = between[0] + time
    return tuple(format + ending for format in _date_formats(date))


def _date_formats(date: re.Match[str]) -> tuple[str, ...]:
    if date["short"]:
        year = "%Y" if len(date["year"]) == len("2024") else "%y"
        return tuple(date["s"].join(parts) for parts in (("%d", "%m", year), ("%m", "%d", year)))
    if date["y"]:
        return (date["y"].join(("%Y", "%m", "%d")),)
    if date["day"]:
        return (date["n"].join(("%d", _month(date["month"]), "%Y")),)
    return (f"{_month(date['first'])} %d, %Y",) if date["first"] else ("%Y%m%d",)


def _month(name: str) -> str:
    return "%b" if len(name) == _LONGEST_SHORT_MONTH else "%B"


def _time(text: str) -> str | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour = "%I" if match["half"] else "%H"
    second = (":%S.%f" if match["fraction"] else ":%S") if match["second"] else ""
    half = match["half"][:-2] + "%p" if match["half"] else ""
    zone = match["zone"][:-5] + "%z" if match["zone"] else ""
    return f"{hour}:%M{second}{half}{zone}"

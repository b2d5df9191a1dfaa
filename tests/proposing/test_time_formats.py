"""Formats of dates that a sample tells, and those that it leaves open."""

from __future__ import annotations

import pytest

from hup.proposing.time_formats import formats_of, has_time, reading, time_format


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["12/1/09 7:45", "12/13/09 9:06"], ["%m/%d/%y %H:%M"]),
        (["12/1/09 7:45", "13/1/09 9:06"], ["%d/%m/%y %H:%M"]),
        (["12/1/09 7:45", "1/2/09 9:06"], ["%d/%m/%y %H:%M", "%m/%d/%y %H:%M"]),
        (["12/13/09", "13/12/09"], []),
        (["01.05.2024 09:00", "31.05.2024 09:00"], ["%d.%m.%Y %H:%M"]),
        (["01.05.2024 09:00:01.5 +0200", "31.05.2024 09:00:01.25 -0400"], ["%d.%m.%Y %H:%M:%S.%f %z"]),
        (["5/31/2024 9:00 PM"], ["%m/%d/%Y %I:%M %p"]),
        (["2024/05/01T09:00:00"], ["%Y/%m/%dT%H:%M:%S"]),
        (["2024-5-1"], ["%Y-%m-%d"]),
        (["1 May 2024", "2 Jun 2024"], ["%d %b %Y"]),
        (["01-December-2024 10:00"], ["%d-%B-%Y %H:%M"]),
        (["May 1, 2024"], ["%b %d, %Y"]),
        (["20240501", "20231231"], ["%Y%m%d"]),
        (["20240501", "20241301"], []),
        (["1.2.3", "abc"], []),
        (["10:00", "11:00"], []),
        ([], []),
    ],
)
def test_formats(texts, formats):
    assert list(formats_of(dict.fromkeys(texts, 1))) == formats


def test_a_few_other_texts_among_many_dates():
    assert formats_of({"31.05.2024": 95, "soon": 5}) == ("%d.%m.%Y",)
    assert formats_of({"31.05.2024": 80, "soon": 20}) == ()


@pytest.mark.parametrize(
    ("texts", "format"), [(["9:00", "10:30"], "%H:%M"), (["9:00:01"], "%H:%M:%S"), (["9:00", "9:00:01"], None)]
)
def test_times_of_day(texts, format):
    assert time_format(texts) == format


def test_what_a_text_means_in_a_format():
    assert reading("12/1/09 7:45", "%d/%m/%y %H:%M") == "12 January 2009"
    assert has_time("%d/%m/%y %H:%M")
    assert not has_time("%d/%m/%y")

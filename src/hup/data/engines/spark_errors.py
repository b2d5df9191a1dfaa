"""What goes wrong on Spark, said in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hup.errors import HupError

_CAUSE = re.compile(r"^\s*Caused by: (.*)$", re.MULTILINE)
_JAVA_CLASS = re.compile(r"^(?:[\w$]+\.)+[\w$]+(?::\s*|$)")
_SQL_STATE = re.compile(r"\s*SQLSTATE: \w+$")
_READING = re.compile(
    r"(?:Encountered error while reading file|reading file:?|[Cc]ould not read (?:footer for )?file:?) (\S+)"
)
_LONGEST = 500


@contextmanager
def in_one_line(doing: str) -> Iterator[None]:
    """Turn errors of Spark and of the gateway to it into a `HupError` that says what was being done.

    Raises
    ------
    HupError
        For every error that PySpark or Py4J raise inside the block.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise HupError(f"{doing}: {_said(error)}") from error


def _said(error: Exception) -> str:
    from py4j.protocol import Py4JJavaError, Py4JNetworkError

    if isinstance(error, Py4JNetworkError):
        return "the connection to Spark broke. Did its Java process run out of memory?"
    text = str(error)
    if isinstance(error, Py4JJavaError):
        # What Java says first may not be in the text of PySpark.
        with suppress(Exception):
            text = f"{error.java_exception.toString()}\n{text}"
    return plain(text)


def plain(text: str) -> str:
    """Give the one line of a Spark error that tells a person most, and the file it is about, if any."""
    file = _READING.search(text)
    causes = [cause for cause in _CAUSE.findall(text) if _shortened(cause)]
    lines = [line for line in text.strip().splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    chosen = (causes or python or lines or [text])[-1 if causes or python else 0]
    said = _shortened(chosen) or chosen.strip()
    if file is not None and file[1].rstrip(".") not in said:
        said = f"{file[1].rstrip('.')}: {said}"
    return said[:_LONGEST]


def _shortened(line: str) -> str:
    """Drop class names of exceptions before the message, and the SQL state after it."""
    line = line.strip()
    while found := _JAVA_CLASS.match(line):
        line = line[found.end() :]
    return _SQL_STATE.sub("", line).strip()

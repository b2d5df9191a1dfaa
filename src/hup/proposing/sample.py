"""A sample of a table that nothing is known about yet: how its files are written, and some rows."""

from __future__ import annotations

import csv
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from hup.data.engines.csv_stream import csv_head
from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.frames import Frame, is_frame
from hup.data.engines.plain_text import UTF8, check_encoding, plain_lines
from hup.data.engines.reader import Dialect, SourceFile, TableSource, quoted_name
from hup.data.engines.table_files import first_lines, table_format
from hup.data.log_source import Sources, find_sources, given_paths, refuse_databases
from hup.data.progress import Progress
from hup.data.tables.mapping import load_mapping
from hup.errors import HupError
from hup.proposing.column_profile import value_text

SAMPLE_ROWS = 10_000
_DELIMITERS = ",;\t|"
_TWO_COLONS = "::"
_VALUE = re.compile(r"-?\d+([.,]\d+)?|\d{4}-\d\d-\d\d.*")
# Logs whose files are known by name, as they have no header; and the table of the mapping that they are.
_KNOWN_FILES = {"userbehavior": ("taobao", 0), "yoochoose-clicks": ("yoochoose", 0), "yoochoose-buys": ("yoochoose", 1)}


@dataclass(frozen=True)
class TableSample:
    """Some rows of a table.

    Attributes
    ----------
    files : tuple of SourceFile
        Files with these columns; empty for a query.
    rows : Table
        At most `SAMPLE_ROWS`, with all columns.
    dialect : Dialect
        How delimited text is written.
    """

    files: tuple[SourceFile, ...]
    rows: pa.Table
    dialect: Dialect


def sample_tables(
    source: TableSource, engine: DuckDBEngine, encoding: str = UTF8
) -> tuple[list[TableSample], list[str]]:
    """Take a sample of each table among the files of a source: files of the same columns are one table.

    Parameters
    ----------
    source : TableSource
        Files or a query.
    engine : DuckDBEngine
        Reads them.
    encoding : str
        Of text.

    Returns
    -------
    samples : list of TableSample
        In the order of their first files.
    remarks : list of str
        Files that are no tables, and columns that cannot be told apart.

    Raises
    ------
    HupError
        If there is no table.
    """
    if not source.files:
        return [_sample(source, Dialect(), list(engine.reader.columns(source, Dialect())), engine)], []
    tables: dict[tuple[Dialect, tuple[str, ...]], list[SourceFile]] = {}
    remarks: list[str] = []
    failures: list[HupError] = []
    for file in source.files:
        try:
            dialect = find_dialect(file, encoding)
            columns, twins = _told_apart(file, dialect, engine)
        except HupError as error:
            failures.append(error)
            remarks.append(f"{file.name} is left out: {error}")
            continue
        tables.setdefault((dialect, columns), []).append(file)
        remarks += [
            f"{file.name} has several columns named {name!r}: none is looked at. To map one, rename it."
            for name in twins
        ]
    if not tables:
        raise failures[0]
    samples = [
        _sample(TableSource(files=tuple(files)), dialect, columns, engine)
        for (dialect, columns), files in tables.items()
    ]
    return samples, remarks


def sample_of(source: Sources, encoding: str = UTF8) -> TableSample:
    """Take a sample of the one table that a source is.

    Parameters
    ----------
    source : path, sequence of paths, or table
        As for :func:`hup.prepare`. What can be read once is read: the sample is its beginning.
    encoding : str
        Of text.

    Raises
    ------
    HupError
        If there is none, or files are several tables of different columns.
    """
    if is_frame(source):
        return TableSample((), Frame.of(source).head(SAMPLE_ROWS), Dialect())
    given = given_paths(source)
    refuse_databases(given)
    files = tuple(find_sources(given, Path("mapping.toml"), lambda _message: None))
    with tempfile.TemporaryDirectory() as work, DuckDBEngine(Path(work)) as engine:
        samples, _ = sample_tables(TableSource(files=files), engine, check_encoding(encoding))
    if len(samples) > 1:
        names = "; ".join(f"{sample.files[0].name} ({', '.join(sample.rows.column_names)})" for sample in samples)
        raise HupError(
            f"The files are {len(samples)} tables of different columns: {names}. Name the files of one table of events."
        )
    return samples[0]


def _told_apart(file: SourceFile, dialect: Dialect, engine: DuckDBEngine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the columns of a file, and the names that several of them have, but for capitals."""
    columns = tuple(engine.reader.columns(TableSource(files=(file,)), dialect))
    names = csv_head(file, dialect).names if table_format([file]) == "csv" else columns
    counts = Counter(name.lower() for name in names)
    twins = tuple(name for name in columns if counts[name.lower()] > 1)
    return tuple(name for name in columns if name not in twins), twins


def _sample(source: TableSource, dialect: Dialect, columns: Sequence[str], engine: DuckDBEngine) -> TableSample:
    # A few files suffice; the first and the last, as logs change over time.
    files = source.files if len(source.files) < 3 else (source.files[0], source.files[-1])
    parts = [replace(source, files=(file,)) for file in files] or [source]
    dialect = replace(dialect, nested=tuple(columns))
    good = f"SELECT {', '.join(map(quoted_name, columns))} FROM raw_rows WHERE hup_problem IS NULL"
    rows = []
    for part in parts:
        raw = engine.reader.read(part, dialect, list(columns), Progress())
        rows.append(
            engine.collect(f"SELECT * FROM ({raw.typed(lambda _types: good)}) LIMIT {SAMPLE_ROWS // len(parts)}")
        )
    return TableSample(source.files, _together(rows), dialect)


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables of the same columns; what has types that do not go together becomes text."""
    kinds = {name: {table.schema.field(name).type for table in tables} for name in tables[0].column_names}
    for name, found in kinds.items():
        try:
            pa.unify_schemas([pa.schema([(name, kind)]) for kind in found], promote_options="permissive")
        except (pa.ArrowException, TypeError):
            tables = [_with_text(table, name) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def _with_text(table: pa.Table, name: str) -> pa.Table:
    texts = pa.array([value_text(value) for value in table[name].to_pylist()], pa.string())
    return table.set_column(table.column_names.index(name), name, texts)


def find_dialect(file: SourceFile, encoding: str = UTF8) -> Dialect:
    """Find the delimiter of a text file, that which parts its first line most, and whether this line is a header.

    Raises
    ------
    HupError
        If the file's name tells no format, or its first line is no text.
    """
    if table_format([file]) != "csv":
        return Dialect(encoding=encoding)
    lines, _ = first_lines(file.path, 1)
    try:
        line = plain_lines(lines, Dialect(encoding=encoding))[0].decode("utf-8-sig") if lines else ""
    except UnicodeDecodeError:
        raise HupError(
            f"{file.path}, line 1 is not {encoding.upper()} text. Say which encoding it has, for example "
            "--encoding cp1252."
        ) from None
    try:
        fields = {mark: next(csv.reader([line], delimiter=mark), []) for mark in _DELIMITERS}
    except csv.Error:
        return Dialect(encoding=encoding)  # whoever reads the columns says what is wrong with the line
    delimiter = max(_DELIMITERS, key=lambda mark: len(fields[mark]))
    if len(fields[delimiter]) == 1:  # as MovieLens has it
        fields[_TWO_COLONS] = line.split(_TWO_COLONS)
        delimiter = _TWO_COLONS if len(fields[_TWO_COLONS]) > 1 else delimiter
    names = fields[delimiter]
    known = _header_of_known(file.path, len(names))
    if known is not None and not set(known) & set(names):
        return Dialect(delimiter, known, encoding)
    values = sum(_VALUE.fullmatch(name.strip()) is not None for name in names)
    if values * 2 >= len(names) > 0 and names != [str(number) for number in range(len(names))]:
        return Dialect(delimiter, tuple(f"column_{number}" for number in range(1, len(names) + 1)), encoding)
    return Dialect(delimiter, encoding=encoding)


def _header_of_known(path: Path, n_fields: int) -> tuple[str, ...] | None:
    stem = path.name.casefold().split(".")[0]
    if stem not in _KNOWN_FILES:
        return None
    name, number = _KNOWN_FILES[stem]
    header = load_mapping(name).tables[number].header
    return header if header is not None and len(header) == n_fields else None

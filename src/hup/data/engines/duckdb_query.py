"""Queries of the user's own as streams of rows, on connections of their own: names of ours are not seen there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from hup.data.engines.reader import quoted_name, quoted_text
from hup.data.engines.table_files import check_columns
from hup.errors import HupError

BATCH_ROWS = 1 << 16
_PLACES = "0::INTEGER AS hup_file, NULL::BIGINT AS hup_row, NULL::VARCHAR AS hup_problem, NULL::VARCHAR AS hup_text"


class DuckDBQueries:
    """Runs a SELECT over a database file, or over files that it names.

    Parameters
    ----------
    connect : callable
        Opens a connection; all are of one instance.
    """

    def __init__(self, connect: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._connect = connect
        self._catalogs: dict[Path | None, str] = {}

    def types(self, query: str, database: Path | None) -> dict[str, str]:
        """Tell the columns of `query` and their SQL types.

        Raises
        ------
        HupError
            If it is no single SELECT, DuckDB refuses it, or `database` cannot be opened.
        """
        relation = _relation(self._cursor(database), query)
        return dict(zip(relation.columns, map(str, relation.types), strict=True))

    def rows(
        self, query: str, database: Path | None, wanted: Sequence[str]
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Give the schema and the batches of `wanted` columns of `query` and their places, which are unknown.

        Raises
        ------
        HupError
            As `types`, if a column is missing, and within the batches if the query fails.
        """
        relation = _relation(self._cursor(database), query)
        check_columns("The query", relation.columns, wanted)
        columns = "".join(f"{quoted_name(name)}, " for name in wanted)
        placed = relation.project(f"{columns}{_PLACES}")
        return _schema(placed), _batches(placed)

    def _cursor(self, database: Path | None) -> duckdb.DuckDBPyConnection:
        """Open a connection on which only what is in `database` has a name."""
        cursor = self._connect()
        if database not in self._catalogs:
            catalog = f"hup_query_{len(self._catalogs)}"
            if database is not None and not database.is_file():
                raise HupError(f"There is no database {database}. Expected a file that DuckDB wrote.")
            place, options = (":memory:", "") if database is None else (str(database), " (TYPE duckdb, READ_ONLY)")
            try:
                cursor.execute(f"ATTACH {quoted_text(place)} AS {catalog}{options}")
            except duckdb.Error as error:
                raise HupError(f"Database {database} cannot be opened: {str(error).splitlines()[0]}") from error
            self._catalogs[database] = catalog
        cursor.execute(f"USE {self._catalogs[database]}")
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor


def _relation(cursor: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """Check that `query` only reads, and prepare it."""
    try:
        statements = cursor.extract_statements(query)
        if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
            return cursor.sql(_without_end(query))
    except duckdb.Error as error:
        raise _failed(error) from error
    kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
    raise HupError(f"The query must be one SELECT; found {kinds}.")


def _without_end(query: str) -> str:
    """Leave out semicolons and comments behind the statement, which cannot be part of another one."""
    text = query.encode()  # DuckDB counts bytes
    end = len(text)
    for place, kind in reversed(duckdb.tokenize(query)):
        if kind != duckdb.token_type.comment and text[place : place + 1] != b";":
            break
        end = place
    return text[:end].decode()


def _schema(relation: duckdb.DuckDBPyRelation) -> pa.Schema:
    try:
        empty: pa.Table = relation.limit(0).to_arrow_table()
    except duckdb.Error as error:
        raise _failed(error) from error
    return empty.schema


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    try:
        yield from relation.to_arrow_reader(BATCH_ROWS)
    except duckdb.OutOfMemoryException:
        raise  # the engine says what to do
    except (duckdb.Error, OSError) as error:
        raise _failed(error) from error


def _failed(error: Exception) -> HupError:
    return HupError(f"The query fails: {str(error).splitlines()[0]}")

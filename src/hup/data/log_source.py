"""What a log is read from, and in which format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hup.data.dataset import Dataset
from hup.data.engines.choose import EngineName
from hup.data.engines.engine import TableSource
from hup.data.engines.table_files import ENDINGS
from hup.data.sources import COMPRESSED, find_sources, is_uri
from hup.data.tables.mapping import Mapping, load_mapping
from hup.errors import HupError

LogFormat = Literal["jd", "events"]
DATABASES = (".duckdb", ".ddb", ".db")


@dataclass(frozen=True)
class LogSource:
    """A log to read.

    Attributes
    ----------
    format : {"jd", "events"}
        JD lines, or event tables.
    tables : TableSource
        Files or query; of JD lines the files.
    mapping : Mapping or None
        What the columns mean; None: the tables have HUP's own names.
    near : tuple of Path
        Folders in which to look for tables that the mapping names.
    """

    format: LogFormat
    tables: TableSource
    mapping: Mapping | None
    near: tuple[Path, ...]

    def refuse_unused(self, sequence: dict[str, Any]) -> None:
        """Refuse options that JD lines have no use for.

        Raises
        ------
        HupError
            If this is a log of JD lines and there are any.
        """
        if self.format == "jd" and sequence:
            raise HupError(
                f"{', '.join(sequence)}: a JD line is a session, and has its times. These options are for event tables."
            )

    def refuse_known(self, base: Dataset) -> None:
        """Refuse files that are in the dataset already, by name and size.

        Raises
        ------
        HupError
            Naming the first such file.
        """
        known = {(source.file, source.bytes) for source in base.manifest.sources}
        for file in self.tables.files:
            if (file.name, file.bytes) in known:
                raise HupError(
                    f"{file.path} is in {base.path} already (same name and size). Name the files of the new days only."
                )


def find_log(
    sources: str | Path | Sequence[str | Path],
    out: Path,
    format: LogFormat | None,
    map: str | Path | Mapping | None,
    query: str | None,
    engine: EngineName,
    note: Callable[[str], None],
) -> LogSource:
    """Find the files of a log and its format.

    Parameters
    ----------
    sources : path or sequence of paths
        Files, folders, globs; on Spark also URIs; with a query at most one database.
    out : Path
        The dataset about to be written, which is never input.
    format, map, query, engine
        As for `prepare`.
    note : callable
        Told about files that are named twice.

    Raises
    ------
    HupError
        If sources are missing, or do not go with the options.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    mapping = map if map is None or isinstance(map, Mapping) else load_mapping(map)
    beside_mapping = (Path(map).parent,) if isinstance(map, str | Path) and Path(map).is_file() else ()
    if query is not None:
        tables = _query_source(query, given, engine)
        near = (*([tables.database.parent] if tables.database else [Path()]), *beside_mapping)
        return LogSource("events", tables, mapping, near)
    uris = [str(source) for source in given if is_uri(str(source))]
    if uris:
        _check_uris(uris, given, engine)
        return LogSource("events", TableSource(uris=tuple(uris)), mapping, beside_mapping)
    files = tuple(find_sources(given, out, note))
    chosen = format or ("events" if mapping is not None or all(_is_table(file.path) for file in files) else "jd")
    if chosen == "jd" and (mapping is not None or engine == "spark"):
        what = "a mapping" if mapping is not None else "Spark"
        raise HupError(f"{what} is for event tables (--format events); JD lines are read as they are, by DuckDB.")
    folders = dict.fromkeys(file.path.parent for file in files)
    return LogSource(chosen, TableSource(files=files), mapping, (*folders, *beside_mapping))


def _is_table(path: Path) -> bool:
    """Tell event tables by their ending; ``.txt`` may be anything, and means JD lines."""
    ending = (Path(path.stem) if path.suffix.lower() in COMPRESSED else path).suffix.lower()
    return ending in ENDINGS and ending != ".txt"


def _query_source(query: str, given: Sequence[str | Path], engine: EngineName) -> TableSource:
    if not given:
        return TableSource(query=query)
    database = Path(given[0])
    if engine == "spark" or len(given) > 1 or database.suffix.lower() not in DATABASES:
        raise HupError(
            f"With a query the only source can be one DuckDB file ({', '.join(DATABASES)}); found {given[0]}. "
            "Name other files in the query: SELECT * FROM 'events/*.parquet'."
        )
    if not database.is_file():
        raise HupError(f"There is no database {database}.")
    return TableSource(query=query, database=database)


def _check_uris(uris: Sequence[str], given: Sequence[str | Path], engine: EngineName) -> None:
    if engine != "spark":
        raise HupError(f"{uris[0]} is read by Spark: add --engine spark. DuckDB reads files of this machine.")
    if len(uris) < len(given):
        raise HupError("Sources are partly URIs and partly files of this machine; write the files as file:///… too.")

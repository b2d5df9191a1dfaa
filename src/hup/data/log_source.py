"""What a log is read from, and in which format."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from hup.data.dataset import Dataset
from hup.data.engines.duckdb_engine import EngineName
from hup.data.engines.frames import Frame, is_frame
from hup.data.engines.reader import COMPRESSED, SourceFile, TableSource, is_uri
from hup.data.engines.table_files import ENDINGS
from hup.data.tables.mapping import Mapping, load_mapping
from hup.errors import HupError, command_line

LogFormat = Literal["jd", "events"]


class ArrowTable(Protocol):
    """A table in memory that shares its columns as Arrow data: of pyarrow, pandas, polars, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give a stream of record batches."""
        ...


Sources = str | Path | Sequence[str | Path] | ArrowTable
DATABASES = (".duckdb", ".ddb", ".db")


@dataclass(frozen=True)
class LogSource:
    """A log to read.

    Attributes
    ----------
    format : {"jd", "events"}
        JD lines, or event tables.
    tables : TableSource
        Files, query or table in memory; of JD lines the files.
    mapping : Mapping or None
        What the columns mean; None: the tables have HUP's own names.
    near : tuple of Path
        Folders in which to look for tables that the mapping names.
    """

    format: LogFormat
    tables: TableSource
    mapping: Mapping | None
    near: tuple[Path, ...]

    @property
    def words(self) -> str:
        """The arguments that name this log in a command of a shell; of files the first, which stands for all."""
        tables = self.tables
        if tables.query is None:
            return command_line(tables.files[0].path) if tables.files else "SOURCE"
        database = [tables.database] if tables.database is not None else []
        return command_line(*database, "--query", tables.query)

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
        """Refuse files that are in the dataset already, by name and size, where times do not tell.

        Event tables have times: what is not later than the dataset is left out, and a new day may come under an old
        name. JD lines have none.

        Raises
        ------
        HupError
            Naming the first such file.
        """
        if base.manifest.time is not None:
            return
        known = {(source.file, source.bytes) for source in base.manifest.sources}
        for file in self.tables.files:
            if (file.name, file.bytes) in known:
                raise HupError(
                    f"{file.path} is in {base.path} already (same name and size). Name the files of the new days only."
                )


def find_log(
    sources: Sources,
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
    sources : path, sequence of paths, or table
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
    mapping = map if map is None or isinstance(map, Mapping) else load_mapping(map)
    beside_mapping = (Path(map).parent,) if isinstance(map, str | Path) and Path(map).is_file() else ()
    if is_frame(sources):
        _check_frame(format, query, engine)
        return LogSource("events", TableSource(frame=Frame.of(sources)), mapping, (Path(), *beside_mapping))
    given = given_paths(sources)
    if query is not None and format == "jd":
        raise HupError("A query gives rows of event tables (--format events); JD lines are read from files.")
    if query is not None:
        tables = query_source(query, given, engine)
        near = (*([tables.database.parent] if tables.database else [Path()]), *beside_mapping)
        return LogSource("events", tables, mapping, near)
    uris = [str(source) for source in given if is_uri(str(source))]
    if uris:
        _check_uris(uris, given, engine)
        if mapping is not None and not beside_mapping:
            _refuse_side_tables(mapping)
        return LogSource("events", TableSource(uris=tuple(uris)), mapping, beside_mapping)
    if format != "jd":
        refuse_databases(given)
    files = tuple(find_sources(given, out, note))
    chosen = format or ("events" if mapping is not None else _format_of(files))
    if chosen == "jd" and (mapping is not None or engine == "spark"):
        what = "a mapping" if mapping is not None else "Spark"
        raise HupError(f"{what} is for event tables (--format events); JD lines are read as they are, by DuckDB.")
    folders = dict.fromkeys(file.path.parent for file in files)
    return LogSource(chosen, TableSource(files=files), mapping, (*folders, *beside_mapping))


def _check_frame(format: LogFormat | None, query: str | None, engine: EngineName) -> None:
    """Refuse options that do not go with a table in memory."""
    if format == "jd":
        raise HupError("A table in memory has rows of events; JD lines are read from files.")
    if query is not None:
        raise HupError("A query names what it reads; leave the table in memory out, or run the query on it first.")
    if engine == "spark":
        raise HupError(
            "A table in memory is read by DuckDB: leave engine='spark' out. What Spark has computed it writes itself, "
            "frame.write.parquet('events'), and engine='spark' reads that."
        )


def _format_of(files: Sequence[SourceFile]) -> LogFormat:
    tables = [file.path for file in files if _is_table(file.path)]
    others = [file.path for file in files if not _is_table(file.path)]
    if tables and others:
        raise HupError(
            f"There are tables of events ({_some(tables)}) and other files ({_some(others)}), which would be JD lines. "
            "Say which by --format events or --format jd, or name the files that are the log, for example by a "
            f"pattern such as '{tables[0].parent}/*{tables[0].suffix}'."
        )
    return "events" if tables else "jd"


def _some(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1:,} more"


def _is_table(path: Path) -> bool:
    """Tell event tables by their ending; ``.txt`` may be anything, and means JD lines."""
    ending = (Path(path.stem) if path.suffix.lower() in COMPRESSED else path).suffix.lower()
    return ending in ENDINGS and ending != ".txt"


def refuse_databases(given: Sequence[str | Path]) -> None:
    """Refuse DuckDB files as sources of their own.

    Raises
    ------
    HupError
        Naming the first such file, and what to add.
    """
    for source in given:
        if Path(source).suffix.lower() in DATABASES and not Path(source).is_dir():
            raise HupError(f"{source} is a database: say what to read by --query, such as 'SELECT * FROM events'.")


def query_source(query: str, given: Sequence[str | Path], engine: EngineName) -> TableSource:
    """Give the source that a query is.

    Parameters
    ----------
    query : str
        SQL.
    given : sequence of paths
        At most one DuckDB file, over which the query is.
    engine : EngineName
        What runs it.

    Raises
    ------
    HupError
        If `given` is anything else, or the file is not there.
    """
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


def _refuse_side_tables(mapping: Mapping) -> None:
    """Refuse tables that the mapping names, where no folder of this machine is known in which they could be."""
    rules = mapping.categories
    for table in (rules.items, rules.parents):
        if table is not None:
            raise HupError(
                f"The mapping names the table {' or '.join(table.file)}, which is not looked for where Spark reads "
                "events. Copy it to a folder of this machine, put the mapping there, too, as a TOML file, and name "
                "that by --map."
            )


def _check_uris(uris: Sequence[str], given: Sequence[str | Path], engine: EngineName) -> None:
    if engine != "spark":
        raise HupError(f"{uris[0]} is read by Spark: add --engine spark. DuckDB reads files of this machine.")
    if len(uris) < len(given):
        raise HupError("Sources are partly URIs and partly files of this machine; write the files as file:///… too.")


def given_paths(sources: object) -> list[str | Path]:
    """Give the paths that are meant.

    Raises
    ------
    HupError
        If they are something else; iterating over what is like a table would give the names of its columns.
    """
    if isinstance(sources, str | Path):
        return [sources]
    if isinstance(sources, Iterable) and not isinstance(sources, dict) and not hasattr(sources, "__dataframe__"):
        given = list(sources)
        if all(isinstance(source, str | Path) for source in given):
            return given
        if any(is_frame(source) for source in given):
            raise HupError("The source is a list of tables, expected one: join them first, as by pandas.concat.")
    raise HupError(
        f"The source is of type {type(sources).__name__}, expected a path, a list of paths, of files, folders or "
        "globs, or a table that shares Arrow data (pyarrow, pandas 2.2 or newer, polars, DuckDB). "
        "Of Spark: frame.toArrow()."
    )


def find_sources(sources: Sequence[str | Path], out: Path, note: Callable[[str], None]) -> list[SourceFile]:
    """List the files that `sources` mean, in the order given; folders and globs in order of name.

    Parameters
    ----------
    sources : sequence of str or Path
        Files, folders (taken with their subfolders; names that begin with ``.`` or ``_`` are left out) and globs.
    out : Path
        The dataset about to be written: it and files beside it that begin with its name are never input.
    note : callable
        Told about files that are named twice.

    Raises
    ------
    HupError
        If a source does not exist, or a folder or glob holds no file.
    """
    if not sources:
        raise HupError("No source given. Name at least one file, folder or glob.")
    files: dict[Path, Path] = {}
    for source in sources:
        for path in _expand(Path(source), out):
            real = path.resolve()
            if real in files:
                note(f"{path} is named more than once; it is used once.")
            files.setdefault(real, path)
    names = _names(list(files))
    return [SourceFile(path, name, path.stat().st_size) for path, name in zip(files.values(), names, strict=True)]


def _expand(source: Path, out: Path) -> list[Path]:
    if source.is_dir():
        paths = [path for path in _files_below(source) if not _belongs_to(path, out)]
        if not paths:
            raise HupError(f"Folder {source} holds no files to read.")
        return paths
    if source.exists():
        if _belongs_to(source, out):
            raise HupError(f"{source} belongs to the dataset {out} that is to be written. Choose another --out.")
        return [source]
    if glob.has_magic(str(source)):
        # Path.glob takes no absolute patterns.
        matches = sorted(Path(match) for match in glob.glob(str(source), recursive=True))  # noqa: PTH207
        paths = [path for path in matches if path.is_file() and not _belongs_to(path, out)]
        if not paths:
            raise HupError(f"No file matches the pattern {source}.")
        return paths
    raise HupError(f"There is no file or folder {source}.")


def _files_below(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _belongs_to(path: Path, out: Path) -> bool:
    """Whether `path` is the dataset folder, in it, or one of its companions such as ``OUT.rejects.parquet``."""
    out = out.resolve()
    for place in (path.resolve(), *path.resolve().parents):
        if place.parent == out.parent:
            companions = tuple(f"{out.name}.{what}" for what in ("partial-", "replaced-", "rejects."))
            return place.name == out.name or place.name.startswith(companions)
    return False


def _names(paths: list[Path]) -> list[str]:
    root = Path(os.path.commonpath([path.parent for path in paths]))
    full = [path.relative_to(root).as_posix() for path in paths]
    # Python keeps bytes that are no UTF-8 in names as halves of characters, which no text may have.
    full = [os.fsencode(name).decode(errors="backslashreplace") for name in full]
    short = [name.removesuffix(".gz").removesuffix(".zst") for name in full]
    # log.txt beside log.txt.gz: two files need two names.
    return [name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True)]

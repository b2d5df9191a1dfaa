"""Write a simulated log to a file, or to a folder of parts: aside first, renamed when whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hup.errors import HupError
from hup.files import beside
from hup.simulator.catalogue import Catalogue, build_catalogue
from hup.simulator.chunks import SimulatedChunk, simulate_chunks
from hup.simulator.config import SimulatorConfig
from hup.simulator.formats import EventTable, JdLines, LogFile, ShopNames

SimulatedFormat = Literal["jd", "events"]

LOG_ENDINGS: dict[SimulatedFormat, tuple[str, ...]] = {
    "jd": (".txt", ".txt.gz", ".txt.zst"),
    "events": (".parquet", ".csv", ".csv.gz", ".csv.zst"),
}
_PART_PATTERN = "part-*"


@dataclass(frozen=True)
class Simulated:
    """What was written.

    Attributes
    ----------
    sessions, events : int
    files : tuple of Path
        In time order.
    catalogue : Catalogue
        The shop behind the log, with its tree, styles and successors.
    """

    sessions: int
    events: int
    files: tuple[Path, ...]
    catalogue: Catalogue


def simulate(
    config: SimulatorConfig,
    out: str | Path,
    *,
    format: SimulatedFormat = "jd",
    overwrite: bool = False,
    sessions_per_file: int = 131_072,
    progress: Callable[[int], None] | None = None,
) -> Simulated:
    """Simulate a log and write it.  Memory does not grow with the number of sessions.

    Parameters
    ----------
    config
        Sizes, seed and habits of the simulated shop.
    out
        A file: ``.txt`` (JD lines), ``.parquet`` or ``.csv`` (events), text also ``.gz`` or ``.zst``.  A path without
        an ending is a folder, filled with ``part-00000.txt`` (or ``.parquet``) and so on.
    format
        ``"jd"``: a session a line, ``item+behavior+category+interval+dwell``.  ``"events"``: a row an event with the
        columns user, session, event_id, timestamp (int64 ms since 1970 UTC), item, behavior, category_1 … category_K.
    overwrite
        Replace what ``out`` holds already.
    sessions_per_file
        Sessions of one part where ``out`` is a folder.
    progress
        Called with the number of sessions written since the last call.

    Returns
    -------
    Simulated

    Raises
    ------
    HupError
        If a value is out of range, the ending does not fit the format, or ``out`` exists and may not be replaced.

    Examples
    --------
    >>> simulate(SimulatorConfig(sessions=1000, items=500, levels=3), "clicks.txt.gz")  # doctest: +SKIP
    """
    out = Path(out) if Path(out).name else Path(out).resolve()
    if format not in LOG_ENDINGS:
        raise HupError(f"simulator: format is {format!r}; expected jd or events.")
    if sessions_per_file < 1:
        raise HupError(f"simulator: sessions_per_file is {sessions_per_file}; expected at least 1.")
    is_folder = out.is_dir() or not out.suffix
    ending = LOG_ENDINGS[format][0] if is_folder else _ending(out, format)
    _refuse_existing(out, overwrite)
    shop = build_catalogue(config)
    names = ShopNames(shop)
    events = 0
    with _aside(out) as aside:
        if is_folder:
            aside.mkdir()
        for path, chunks in _by_file(config, shop, aside, ending, sessions_per_file if is_folder else None):
            with _open(path, ending, format, names) as log:
                for chunk in chunks:
                    log.write(chunk)
                    events += chunk.events
                    if progress:
                        progress(chunk.sessions)
    files = tuple(sorted(out.iterdir())) if is_folder else (out,)
    return Simulated(config.sessions, events, files, shop)


def _ending(out: Path, format: SimulatedFormat) -> str:
    fitting = [ending for ending in LOG_ENDINGS[format] if out.name.endswith(ending) and out.name != ending]
    if not fitting:
        raise HupError(
            f"{out}: the ending does not fit --format {format}; expected one of {', '.join(LOG_ENDINGS[format])}, "
            "or a path without an ending for a folder of parts."
        )
    return fitting[0]


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if out.is_dir():
        foreign = sorted(path.name for path in out.iterdir() if not path.match(_PART_PATTERN))
        if foreign:
            raise HupError(
                f"{out}: the folder holds {foreign[0]!r}, which no simulation wrote; "
                "name a new folder, or a file in this one."
            )
        if not any(out.iterdir()):
            return
    if not overwrite:
        raise HupError(f"{out}: exists already; choose another path, or add --overwrite to replace it.")


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """Give a path beside ``out``; move it to ``out`` on success, remove it on failure."""
    aside = beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        if out.is_dir():
            _replace_parts(aside, out)
        else:
            aside.replace(out)
    except OSError as error:
        raise HupError(f"{out}: cannot be written ({error.strerror or error}); check the path and the disk.") from error
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        elif aside.exists():
            aside.unlink()


def _replace_parts(aside: Path, out: Path) -> None:
    """Move the new parts into the folder, then remove what is left of the old ones."""
    parts = {path.name for path in aside.iterdir()}
    for name in sorted(parts):
        (aside / name).replace(out / name)
    for path in out.iterdir():
        if path.name not in parts:
            path.unlink()


def _open(path: Path, ending: str, format: SimulatedFormat, names: ShopNames) -> LogFile:
    return JdLines(path, ending, names) if format == "jd" else EventTable(path, ending, names)


def _by_file(
    config: SimulatorConfig, shop: Catalogue, target: Path, ending: str, sessions_per_file: int | None
) -> Iterator[tuple[Path, Iterator[SimulatedChunk]]]:
    """Yield each file with its chunks: ``target`` itself, or its parts."""
    chunks = simulate_chunks(config, shop)
    if sessions_per_file is None:
        yield target, chunks
        return
    for part, pieces in enumerate(_parts(chunks, config.sessions, sessions_per_file)):
        yield target / f"part-{part:05d}{ending}", pieces


def _parts(
    chunks: Iterator[SimulatedChunk], sessions: int, sessions_per_file: int
) -> Iterator[Iterator[SimulatedChunk]]:
    chunk = next(chunks)

    def pieces(start: int, stop: int) -> Iterator[SimulatedChunk]:
        nonlocal chunk
        while start < stop:
            if start >= chunk.first_session + chunk.sessions:
                chunk = next(chunks)
            end = min(stop, chunk.first_session + chunk.sessions)
            yield chunk.cut(start - chunk.first_session, end - chunk.first_session)
            start = end

    for start in range(0, sessions, sessions_per_file):
        yield pieces(start, min(sessions, start + sessions_per_file))

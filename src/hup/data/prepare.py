"""From a click log to a dataset folder, and more of the log into the same folder."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from hup.data.append import extended, refuse_changed, refuse_other_mapping
from hup.data.dataset import MANIFEST, Dataset
from hup.data.dataset_writer import DatasetPlan, check_rejects, write_dataset
from hup.data.engines.duckdb_engine import DuckDBEngine, EngineName, open_engine
from hup.data.engines.frames import is_frame
from hup.data.engines.reader import is_uri
from hup.data.engines.remote_folder import check_target, local_twin, remote_target, upload_folder
from hup.data.items import renew_items, with_coverage, with_items
from hup.data.jd_log import jd_log
from hup.data.log_source import LogFormat, LogSource, Sources, find_log, given_paths
from hup.data.manifest import Split, SplitBounds, SplitMethod
from hup.data.progress import Progress
from hup.data.session_log import SessionLog
from hup.data.tables.items_given import find_items, read_items
from hup.data.tables.mapping import Mapping
from hup.data.tables.read import TableOptions, table_log
from hup.errors import HupError
from hup.files import output_folder, recover

SHARES = (0.7, 0.1, 0.2)
_NO_BOUNDS = SplitBounds(train=(0, 0), validation=(0, 0), test=(0, 0))


def prepare(
    sources: Sources = (),
    *,
    out: str | Path,
    format: LogFormat | None = None,
    map: str | Path | Mapping | None = None,
    query: str | None = None,
    sequence: Literal["session", "gap", "user"] | None = None,
    idle_gap_minutes: float | None = None,
    window: int | None = None,
    last_events: int | None = None,
    dwell_cap_seconds: float | None = None,
    levels: int | None = None,
    max_reject_share: float = 0.05,
    split: SplitMethod = "time",
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    engine: EngineName = "duckdb",
    spark_master: str | None = None,
    memory_limit: str | None = None,
    items: Sources | None = None,
    items_key: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Turn a click log into a dataset folder.

    Good rows are used; the others go to ``rejects.parquet`` with file, line, text and reason. Sessions with fewer
    than two item runs have no target and are left out. Equal input gives an equal dataset, on either engine.

    Parameters
    ----------
    sources : path, sequence of paths, or table
        Files, folders and globs: JD lines (plain, ``.gz``, ``.zst``), or event tables as Parquet, CSV, JSONL (these
        two also ``.gz``, ``.zst``) or Arrow; on Spark also what it knows, such as ``s3a://bucket/events``. Or an event
        table in memory: of pyarrow, pandas, polars, DuckDB, or whatever else has ``__arrow_c_stream__``.
    out : path
        The folder to make. It appears when all is done, or not at all. With Spark it may be a URI; then the dataset
        that is returned is a copy in a temporary folder.
    format : {"jd", "events"}, optional
        ``"jd"``: a line is a session of tokens ``item+behavior+category+interval+dwell``. ``"events"``: a row is an
        event. By default events where `map` or `query` is given or the files are tables by their ending, else jd.
    map : str, path or Mapping, optional
        What the columns of event tables mean: the name of a built-in mapping, a TOML file, or a `Mapping`. Not needed
        for tables with HUP's own column names.
    query : str, optional
        SQL whose rows are the events. On DuckDB it may name files, or tables of one DuckDB file given as source.
    sequence : {"session", "gap", "user"}, optional
        What a session is: an id of the table, a stretch without an idle gap, or the whole history of a user.
        Overrides the mapping, as do the next four.
    idle_gap_minutes : float, optional
        For ``"gap"``; 30 by default.
    window : int, optional
        For ``"user"``: longer histories are cut, newest first, into windows of so many events; 200 by default.
    last_events : int, optional
        Keep only so many last events of each session or user.
    dwell_cap_seconds : float, optional
        Longer dwells count as this; 1800 by default.
    levels : int, optional
        Number of category levels K; by default that of most JD tokens, of tables that of the deepest path (at most 5).
    max_reject_share : float
        More malformed rows than this share is an error.
    split : {"time", "random"}
        ``"time"``: sessions in order of their end (JD lines: in log order), the first are for training.
        ``"random"``: they are permuted first.
    shares : three floats
        Shares of training, validation and test sessions.
    seed : int
        For the random split.
    engine : {"duckdb", "spark"}
        What reads and sorts event tables; Spark needs ``pip install 'hup-recsys[spark]'`` and Java.
    spark_master : str, optional
        For example ``"yarn"`` or ``"spark://host:7077"``; by default this machine.
    memory_limit : str, optional
        For example ``"8GB"``; beyond it DuckDB works on disk. Half of the machine's memory by default.
    items : path, sequence of paths, or table, optional
        What the shop says of its items, a row an item: names, prices, links, as any of the formats of events. The
        columns are carried along, to be shown with recommendations; nothing is learned from them.
    items_key : str, optional
        The column of `items` with their ids; by default found by its name.
    overwrite : bool
        Replace `out` if it is a dataset already.
    progress : Progress, optional
        Told what is being done.

    Returns
    -------
    Dataset

    Raises
    ------
    HupError
        If an input is missing, nothing usable is found, too much is malformed, or `out` cannot be made.

    Examples
    --------
    >>> import hup
    >>> dataset = hup.prepare("clicks.txt.gz", out="dataset")                      # doctest: +SKIP
    >>> dataset = hup.prepare("2019-Oct.csv", map="rees46", out="dataset")         # doctest: +SKIP
    >>> dataset = hup.prepare(frame, map=hup.propose_mapping(frame).mapping, out="dataset")  # doctest: +SKIP
    >>> dataset.n_items                                                            # doctest: +SKIP
    9134
    """
    check_options(format, levels, max_reject_share, split, seed, engine)
    method = Split(
        method=split, shares=check_shares(shares), seed=seed if split == "random" else None, bounds=_NO_BOUNDS
    )
    progress = progress or Progress()
    target = remote_target(out, engine) if is_uri(str(out)) else None
    changes = {
        "by": sequence,
        "idle_gap_minutes": idle_gap_minutes,
        "window": window,
        "last_events": last_events,
        "dwell_cap_seconds": dwell_cap_seconds,
    }
    options = TableOptions(split=method, levels=levels, sequence={k: v for k, v in changes.items() if v is not None})
    with nullcontext(_named(Path(out))) if target is None else local_twin(target) as place:
        source = find_log(sources, place, format, map, query, engine, progress.note)
        source.refuse_unused(options.sequence)
        carried = find_items(items, items_key, place, engine, progress.note)
        with (
            output_folder(place, overwrite, is_dataset, progress.note) as folder,
            _work_folder(folder) as work,
            open_engine(engine, work, memory_limit, spark_master) as running,
        ):
            if target is not None:
                check_target(running, target, overwrite)
            plan = DatasetPlan(folder, _clear_kept_rejects(place), method, max_reject_share)
            given = None if carried is None else read_items(carried, source.mapping, running, folder, None, progress)
            log, plan = with_items(_read(source, running, work, options, progress), plan, given)
            write_dataset(log, check_rejects(log, plan, progress), plan, progress)
            if target is not None:
                progress.phase(f"Copying to {target}")
                upload_folder(running, folder, target, overwrite)
        return with_coverage(Dataset.open(place), given, progress)


def append(
    dataset: str | Path,
    sources: Sources = (),
    *,
    map: str | Path | Mapping | None = None,
    query: str | None = None,
    max_reject_share: float = 0.05,
    engine: EngineName = "duckdb",
    spark_master: str | None = None,
    memory_limit: str | None = None,
    items: Sources | None = None,
    items_key: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Add a new stretch of log to a dataset, prepared in the same way as what is there.

    Items, categories and behaviors keep their codes, and items their categories; new ones follow. The new sessions
    come after the old ones, and the split is drawn anew by its shares. Events of tables must be later than the last
    one of the dataset; a session that goes on beyond it begins anew there. JD lines have no times: there a file that is
    in the dataset already is known by its name and size alone. The folder is replaced when all is done.

    Parameters
    ----------
    dataset : path
        A dataset folder, split in time.
    map : str, path or Mapping, optional
        Not needed, as the dataset keeps its mapping, unless tables that it names lie beside the mapping file. It must
        mean the same columns; its sequence rules do not count, as those of the dataset are used again.
    items, items_key
        As for `prepare`. Rows take the place of those of the same items, others stay. Without `sources` and `query` the
        events stay as they are.
    sources, query, max_reject_share, engine, spark_master, memory_limit, progress
        As for `prepare`.

    Returns
    -------
    Dataset

    Raises
    ------
    HupError
        As for `prepare`; and if the dataset is split at random, `map` is another mapping than that of the dataset, a
        source is in it already, or another run changed it meanwhile.
    """
    check_options(None, None, max_reject_share, "time", 0, engine)
    progress = progress or Progress()
    out = _named(Path(dataset))
    recover(out, progress.note)
    base = Dataset.open(out)
    made, method = base.manifest.preparation, base.manifest.split
    carried = find_items(items, items_key, out, engine, progress.note)
    if carried is not None and query is None and not is_frame(sources) and not given_paths(sources):
        with (
            output_folder(out, True, is_dataset, progress.note, partial(refuse_changed, base)) as folder,
            _work_folder(folder) as work,
            open_engine(engine, work, memory_limit, spark_master) as running,
        ):
            renewed = renew_items(base, carried, running, folder, progress)
        return with_coverage(Dataset.open(out), renewed, progress)
    if method.method != "time":
        raise HupError(f"{out} is split at random; only a dataset that is split in time can be appended to.")
    mapping = Mapping.validated(made.mapping, f"mapping in {out / MANIFEST}") if made.mapping is not None else None
    if map is not None and mapping is not None:
        refuse_other_mapping(map, mapping, out)
    format: LogFormat = "events" if mapping is not None else "jd"
    source = find_log(sources, out, format, mapping if map is None else map, query, engine, progress.note)
    source = replace(source, mapping=mapping)
    source.refuse_known(base)
    options = TableOptions(split=method, levels=base.levels, sequence=dict(made.sequence or {}), base=base)
    with (
        output_folder(out, True, is_dataset, progress.note, partial(refuse_changed, base)) as folder,
        _work_folder(folder) as work,
        open_engine(engine, work, memory_limit, spark_master) as running,
    ):
        plan = DatasetPlan(folder, _clear_kept_rejects(out), method, max_reject_share, base)
        before = base.item_columns
        given = None if carried is None else read_items(carried, mapping, running, folder, before, progress)
        log, plan = with_items(_read(source, running, work, options, progress), plan, given)
        tally = check_rejects(log, plan, progress)
        write_dataset(extended(base, log), tally, plan, progress)
    return with_coverage(Dataset.open(out), given, progress)


def is_dataset(folder: Path) -> bool:
    """Tell whether `folder` looks like a dataset, and may thus be replaced by one."""
    return (folder / MANIFEST).is_file()


def check_options(
    format: str | None, levels: int | None, max_reject_share: float, split: str, seed: int, engine: str
) -> None:
    """Refuse values that no log could make right.

    Raises
    ------
    HupError
        Naming the option, what was found and what was expected.
    """
    if format is not None:
        _one_of("Format", format, get_args(LogFormat))
    _one_of("Split", split, get_args(SplitMethod))
    _one_of("Engine", engine, get_args(EngineName))
    if levels is not None and levels < 1:
        raise HupError(f"Number of category levels is {levels}; expected 1 or more.")
    if not 0 <= max_reject_share <= 1:
        raise HupError(
            f"Largest share of rejects is {max_reject_share:g}; expected a number from 0 to 1, such as 0.05."
        )
    if seed < 0:
        raise HupError(f"Seed is {seed}; expected 0 or more.")


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise HupError(f"{what} {value!r} is not known; expected {' or '.join(choices)}.")


def check_shares(shares: Sequence[float]) -> tuple[float, float, float]:
    """Return `shares` as three floats.

    Raises
    ------
    HupError
        If they are not three shares of which the first is positive and that sum to 1.
    """
    numbers = [float(share) for share in shares]
    good = len(numbers) == 3 and min(numbers) >= 0 and numbers[0] > 0 and math.isclose(sum(numbers), 1, abs_tol=1e-6)
    if not good:
        given = ",".join(f"{number:g}" for number in numbers)
        raise HupError(
            f"Split shares are {given}; expected three numbers from 0 to 1 that sum to 1: train (more than 0), "
            "validation, test. For example 0.7,0.1,0.2."
        )
    return numbers[0], numbers[1], numbers[2]


def _read(source: LogSource, engine: DuckDBEngine, work: Path, options: TableOptions, progress: Progress) -> SessionLog:
    if source.format == "jd":
        return jd_log(source.tables.files, engine, progress, options.levels, options.split.seed, options.base)
    return table_log(source, engine, work, options, progress, now_ms=time.time_ns() // 1_000_000)


def _named(out: Path) -> Path:
    """Resolve paths without a name of their own: one is needed for the folders beside."""
    return out.resolve() if out.is_symlink() or out.name in ("", "..") else out


def _clear_kept_rejects(out: Path) -> Path:
    path = out.with_name(f"{out.name}.rejects.parquet")
    path.unlink(missing_ok=True)
    return path


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Give a folder for what is only needed on the way."""
    work = folder / "work"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)

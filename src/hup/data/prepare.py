"""From a click log to a dataset folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from hup.data.builder import OrderedLog, build
from hup.data.dataset import MANIFEST, REJECTS, Dataset
from hup.data.dataset_writer import WrittenEvents, fingerprint, write_dataset_files, write_events
from hup.data.engine import DuckDBEngine
from hup.data.event_log import EventLog
from hup.data.jd_events import read_jd
from hup.data.jd_lines import LineReader
from hup.data.manifest import Buckets, Manifest, Split, SplitBounds, SplitMethod
from hup.data.output_folder import output_folder
from hup.data.progress import Progress
from hup.data.rejects import RejectTally, write_rejects
from hup.data.sources import find_sources
from hup.data.split import check_shares, split_bounds, train_vocabulary
from hup.data.statistics import count
from hup.data.vocabulary import Vocabulary, make_vocabulary
from hup.errors import HupError

SHARES = (0.7, 0.1, 0.2)


def prepare(
    sources: str | Path | Sequence[str | Path],
    *,
    format: Literal["jd"] = "jd",
    out: str | Path,
    levels: int | None = None,
    max_reject_share: float = 0.05,
    split: SplitMethod = "time",
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    memory_limit: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Turn a click log into a dataset folder.

    Good rows are used; the others go to ``rejects.parquet`` with file, line, token and reason. Sessions with fewer
    than two item runs have no target and are left out. Equal input gives an equal dataset.

    Parameters
    ----------
    sources : path or sequence of paths
        Files (plain, ``.gz``, ``.zst``), folders and globs.
    format : {"jd"}
        ``"jd"``: a line is a session, its tokens ``item+behavior+category+interval+dwell`` are separated by spaces; the
        category may be a path, coarsest first, as in ``3/17/240``; seconds.
    out : path
        The folder to make. It appears when all is done, or not at all.
    levels : int, optional
        Number of category levels K; by default that of most tokens.
    max_reject_share : float
        More malformed tokens and lines than this share is an error.
    split : {"time", "random"}
        ``"time"``: sessions stay in log order, the first are for training. ``"random"``: they are permuted first.
    shares : three floats
        Shares of training, validation and test sessions.
    seed : int
        For the random split.
    memory_limit : str, optional
        For example ``"8GB"``; beyond it DuckDB works on disk. Half of the machine's memory by default.
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
    >>> dataset = hup.prepare("clicks.txt.gz", out="dataset")    # doctest: +SKIP
    >>> dataset.n_items                                          # doctest: +SKIP
    9134
    """
    _check_options(format, levels, max_reject_share, split, seed)
    method = Split(
        method=split,
        shares=check_shares(shares),
        seed=seed if split == "random" else None,
        bounds=SplitBounds(train=(0, 0), validation=(0, 0), test=(0, 0)),
    )
    progress = progress or Progress()
    out = Path(out)
    if out.is_symlink() or out.name in ("", ".."):
        out = out.resolve()  # a name is needed for the folders beside it
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    files = find_sources(given, out, progress.note)
    with output_folder(out, overwrite, _is_dataset, progress.note) as folder:
        kept_rejects = out.with_name(f"{out.name}.rejects.parquet")
        kept_rejects.unlink(missing_ok=True)
        with DuckDBEngine(folder / "spill", memory_limit) as engine:
            reader = LineReader(files, progress)
            progress.phase("Reading", sum(file.bytes for file in files), "bytes")
            log = read_jd(reader, engine, levels)
            progress.phase("Items, categories, sessions")
            ordered = build(log, engine, method.seed)
            tally = write_rejects(folder / REJECTS, engine.stream(ordered.rejects), log.origins, reader.file_rejects)
            for broken in reader.file_rejects:
                progress.note(f"{broken.file}: {broken.reason}. What could be read of it is used.")
            problem = tally.problem(log.tokens, max_reject_share) or _nothing_left(ordered, tally)
            if problem is not None:
                (folder / REJECTS).replace(kept_rejects)
                raise HupError(f"{problem} All are listed in {kept_rejects}.")
            progress.phase("Writing events", ordered.n_events, "events")
            items = engine.collect(ordered.items.order_by("item_id"))
            events = write_events(folder, engine.stream(ordered.events), len(items), progress.advance)
        shutil.rmtree(folder / "spill", ignore_errors=True)
        vocabulary = make_vocabulary(items, events.appearance, log.levels, log.separator)
        _finish(folder, log, events, vocabulary, method, tally, progress)
    return Dataset.open(out)


def _finish(
    folder: Path,
    log: EventLog,
    events: WrittenEvents,
    vocabulary: Vocabulary,
    split: Split,
    tally: RejectTally,
    progress: Progress,
) -> None:
    """Count, assemble the files, and write the manifest, which makes the folder a dataset, last."""
    columns = events.columns(vocabulary.taxonomy.paths)
    progress.phase("Statistics", len(columns.item), "events")
    counts = count(columns, len(log.behaviors), progress.advance)
    bounds = split_bounds(counts.sessions, split.shares)
    train = train_vocabulary(columns.item, columns.offsets, columns.paths, bounds)
    progress.phase("Assembling files")
    write_dataset_files(folder, events, vocabulary, log.origins)
    manifest = Manifest(
        format=log.format,
        levels=log.levels,
        behaviors=list(log.behaviors),
        counts=counts,
        buckets=Buckets(),
        split=split.model_copy(update={"bounds": bounds}),
        train=train,
        sources=log.origins.sources(events.sessions, np.diff(events.offsets)),
        rejects=tally.manifest(),
        fingerprint=fingerprint(folder, vocabulary, log.behaviors, bounds),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _check_options(format: str, levels: int | None, max_reject_share: float, split: str, seed: int) -> None:
    if format != "jd":
        raise HupError(f"Format {format!r} is not known; expected jd.")
    if levels is not None and levels < 1:
        raise HupError(f"Number of category levels is {levels}; expected 1 or more.")
    if not 0 <= max_reject_share <= 1:
        raise HupError(
            f"Largest share of rejects is {max_reject_share:g}; expected a number from 0 to 1, such as 0.05."
        )
    if seed < 0:
        raise HupError(f"Seed is {seed}; expected 0 or more.")
    if split not in get_args(SplitMethod):
        raise HupError(f"Split {split!r} is not known; expected time or random.")


def _nothing_left(ordered: OrderedLog, tally: RejectTally) -> str | None:
    if ordered.n_sessions:
        return None
    return f"No usable session: every session needs two item runs or more. Found: {tally.describe(tally.by_reason)}."


def _is_dataset(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()

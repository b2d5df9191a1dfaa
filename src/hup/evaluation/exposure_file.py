"""The file that keeps how often what was recommended: figures at its cut-offs follow from it without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hup.errors import HupError
from hup.evaluation.exposure import Exposure
from hup.files import write_aside

_SCHEMA: Final = pa.schema(
    [
        ("level", pa.dictionary(pa.int32(), pa.string())),
        ("code", pa.int64()),
        ("runs", pa.int64()),
        ("k", pa.int32()),
        ("lists", pa.int32()),
    ]
)
_LEVELS: Final = b"levels"


def write_exposure(path: Path, exposure: Mapping[str, Exposure]) -> None:
    """Write what one row recommended as Parquet, a line for each code and cut-off; whole or not at all.

    Parameters
    ----------
    path : Path
    exposure : mapping of str to Exposure
        By level.

    Raises
    ------
    HupError
        The file cannot be written.
    """
    facts = {
        level: {
            "cutoffs": list(of.counts),
            "unseen": list(of.unseen.values()),
            "catalogue": of.catalogue,
            "all_runs": of.all_runs,
            "taken": of.taken,
        }
        for level, of in exposure.items()
    }
    schema = _SCHEMA.with_metadata({_LEVELS: json.dumps(facts).encode()})
    with write_aside(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for level, of in exposure.items():
            for k, counts in of.counts.items():
                there = counts > 0
                n = int(there.sum())
                columns = [
                    pa.DictionaryArray.from_arrays(np.zeros(n, dtype=np.int32), [level]),
                    of.codes[there],
                    of.runs[there],
                    np.full(n, k, dtype=np.int32),
                    counts[there].astype(np.int32),
                ]
                writer.write_table(pa.table(columns, schema=schema))


def counted_cutoffs(path: Path) -> dict[str, list[int]]:
    """Tell at which cut-offs lists were counted, by level; nothing where there is no file.

    Raises
    ------
    HupError
        The file does not read.
    """
    return {level: facts["cutoffs"] for level, facts in _facts(path).items()} if path.is_file() else {}


def read_exposure(path: Path) -> dict[str, Exposure]:
    """Read what one row recommended, by level; nothing where there is no file.

    Raises
    ------
    HupError
        The file does not read.
    """
    if not path.is_file():
        return {}
    facts, table = _facts(path), pq.read_table(path)
    level_of = np.array(table.column("level").to_pylist(), dtype=object)
    code, runs, cutoff, lists = (table.column(name).to_numpy() for name in ("code", "runs", "k", "lists"))
    found = {}
    for level, of in facts.items():
        here = level_of == level
        codes, first, place = np.unique(code[here], return_index=True, return_inverse=True)
        counts = {k: np.zeros(len(codes), dtype=np.int64) for k in of["cutoffs"]}
        for k, counted in counts.items():
            at_k = cutoff[here] == k
            counted[place[at_k]] = lists[here][at_k]
        found[level] = Exposure(
            codes=codes,
            runs=runs[here][first],
            counts=counts,
            unseen=dict(zip(of["cutoffs"], of["unseen"], strict=True)),
            catalogue=of["catalogue"],
            all_runs=of["all_runs"],
            taken=of["taken"],
        )
    return found


def _facts(path: Path) -> dict[str, dict[str, Any]]:
    try:
        facts: dict[str, dict[str, Any]] = json.loads((pq.read_schema(path).metadata or {})[_LEVELS])
    except (OSError, ValueError, KeyError) as error:
        raise HupError(f"{path} does not read as counted lists ({error}). Remove it and run the grid again.") from error
    return facts

"""Lines of text files on Spark: numbered as in their files, and parsed in Python workers by parsers of this package.

Spark cuts files into splits and shows of a line only in which split it is. A first pass counts the lines of each split,
so that in the second each worker knows where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hup.data.engines.reader import SourceFile
from hup.data.engines.spark_sources import spark_path, split_key
from hup.data.engines.spark_workers import pickled_by_value
from hup.data.line_blocks import MAX_LINE_BYTES
from hup.errors import HupError

# Index of a file, lines of it in blocks as from `whole_lines`, number of the first line -> rows.
Parse = Callable[[int, Iterator[bytes | None], int], Iterator[pa.RecordBatch]]
_CHANGED = "Files changed while they were read: lines are not where they were before. Read a copy that stays as it is."


@dataclass(frozen=True)
class _Split:
    """A piece of a file, and its lines."""

    file: int
    first_line: int
    n_lines: int


def parsed_lines(
    spark: Any,
    files: Sequence[SourceFile],
    numbers: Sequence[int],
    parse: Parse,
    schema: pa.Schema,
    header_lines: int,
    quotes: bool,
) -> tuple[Any, list[int]]:
    """Parse the lines of `files` where Spark reads them.

    Parameters
    ----------
    spark : SparkSession
        Reads.
    files : sequence of SourceFile
        Text files; those that Spark cannot unpack must not be among them.
    numbers : sequence of int
        Index of each file, handed to `parse`.
    parse : callable
        Runs in workers. It gets neighbouring lines, at most those of a whole file.
    schema : Schema
        Of the batches that `parse` gives.
    header_lines : int
        Lines at the beginning of each file that are left out.
    quotes : bool
        Whether a record may go on over several lines while a quote is open. A file of several splits in which that
        may happen is brought to one worker.

    Returns
    -------
    rows : DataFrame
        Of `schema`.
    empty : list of int
        Those of `numbers` whose file has no lines.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    keys = {split_key(spark, file): number for file, number in zip(files, numbers, strict=True)}
    # The same files in both passes: how long splits are depends on the size of all.
    lines = _lines(spark, files)
    counts = _count_lines(lines, quotes)
    splits, starts, whole = _number_splits(counts, keys)
    found = {split.file for split in splits}
    if not found:
        raise HupError("None of the files has a line.")
    placed = _placed(
        lines, spark.createDataFrame(starts, "hup_path string, hup_start long, hup_split int, hup_file int")
    )
    parts = _parts(placed, sorted(whole))
    with pickled_by_value():
        worker = _worker(splits, parse, header_lines)
        parsed = [part.select("value", "hup_split").mapInArrow(worker, from_arrow_schema(schema)) for part in parts]
    rows = parsed[0] if len(parsed) == 1 else parsed[0].union(parsed[1])
    return rows, [number for number in numbers if number not in found]


def _lines(spark: Any, files: Sequence[SourceFile]) -> Any:
    """Read lines and where they are; `hup_id` counts up in a split."""
    from pyspark.sql import functions

    paths = [spark_path(file) for file in files]
    read = spark.read.option("lineSep", "\n").text(paths)
    return read.select(
        "value",
        functions.regexp_replace("_metadata.file_path", "^file:/+", "file:/").alias("hup_path"),
        functions.col("_metadata.file_block_start").alias("hup_start"),
        functions.monotonically_increasing_id().alias("hup_id"),
    )


def _count_lines(lines: Any, quotes: bool) -> list[Any]:
    """Count lines of each split, and those with an odd number of quotes."""
    from pyspark.sql import functions

    odd = (
        functions.expr("length(value) % 2 != length(replace(value, '\"', '')) % 2").cast("int")
        if quotes
        else functions.lit(0)
    )
    counts = lines.groupBy("hup_path", "hup_start").agg(
        functions.count("*").alias("lines"), functions.sum(odd).alias("odd")
    )
    found: list[Any] = counts.orderBy("hup_path", "hup_start").collect()
    return found


def _number_splits(
    counts: Iterable[Any], keys: dict[str, int]
) -> tuple[list[_Split], list[tuple[str, int, int, int]], set[int]]:
    """Give the splits, where they begin, and the files that have to be read whole."""
    splits: list[_Split] = []
    starts = []
    whole = set()
    for path, rows in groupby(counts, lambda row: row["hup_path"]):
        line, odd, pieces = 1, 0, 0
        for row in rows:
            starts.append((path, row["hup_start"], len(splits), keys[path]))
            splits.append(_Split(keys[path], line, row["lines"]))
            line, odd, pieces = line + row["lines"], odd + row["odd"], pieces + 1
        if odd and pieces > 1:
            whole.add(keys[path])
    return splits, starts, whole


def _placed(lines: Any, places: Any) -> Any:
    """Give the bytes of each line with its split and file, which are null if it is in none that was seen before."""
    from pyspark.sql import functions

    placed = lines.join(functions.broadcast(places), ["hup_path", "hup_start"], "left")
    return placed.select(functions.col("value").cast("binary").alias("value"), "hup_split", "hup_file", "hup_id")


def _parts(placed: Any, whole: Sequence[int]) -> list[Any]:
    """Part the lines into those that stay in order in their splits, and those of files brought to one worker each."""
    from pyspark.sql import functions

    if not whole:
        return [placed]
    gathered = functions.coalesce(functions.col("hup_file").isin(whole), functions.lit(False))
    by_file = placed.filter(gathered).repartition("hup_file").sortWithinPartitions("hup_split", "hup_id")
    return [placed.filter(~gathered), by_file]


def _worker(
    splits: Sequence[_Split], parse: Parse, header_lines: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def parse_lines(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, run in groupby(_runs(_pieces(batches, splits)), key=lambda found: found[0]):
            pieces = (piece for _, piece in run)
            first = next(pieces)
            skipped = max(0, header_lines + 1 - first.line)
            yield from parse(first.file, _blocks(chain([first], pieces), skipped), first.line + skipped)

    return parse_lines


@dataclass(frozen=True)
class _Piece:
    """Neighbouring lines of a file."""

    file: int
    line: int
    values: pa.BinaryArray


def _pieces(batches: Iterable[pa.RecordBatch], splits: Sequence[_Split]) -> Iterator[_Piece]:
    seen: dict[int, int] = {}
    for batch in batches:
        values, places = batch.columns
        for number, begin, end in _equal_runs(places):
            if number is None:
                raise RuntimeError(_CHANGED)
            split, before = splits[number], seen.get(number, 0)
            seen[number] = before + end - begin
            if seen[number] > split.n_lines:
                raise RuntimeError(_CHANGED)
            yield _Piece(split.file, split.first_line + before, values.slice(begin, end - begin))


def _equal_runs(values: pa.Array) -> Iterator[tuple[int | None, int, int]]:
    encoded = pc.run_end_encode(values)
    begin = 0
    for value, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
        yield value, begin, end
        begin = end


def _runs(pieces: Iterable[_Piece]) -> Iterator[tuple[int, _Piece]]:
    """Count the runs of pieces that follow on each other in their file."""
    run, expected = 0, None
    for piece in pieces:
        if (piece.file, piece.line) != expected:
            run += 1
        expected = (piece.file, piece.line + len(piece.values))
        yield run, piece


def _blocks(pieces: Iterable[_Piece], skipped: int) -> Iterator[bytes | None]:
    for piece in pieces:
        values = piece.values.slice(min(skipped, len(piece.values)))
        skipped -= len(piece.values) - len(values)
        if len(values):
            yield from _joined(values)


def _joined(values: pa.BinaryArray) -> Iterator[bytes | None]:
    """Join lines by newlines; None stands for one that is too long."""
    long = pc.indices_nonzero(pc.greater(pc.binary_length(values), MAX_LINE_BYTES)).to_pylist()
    begin = 0
    for end in [*long, len(values)]:
        if end > begin:
            part = values.slice(begin, end - begin)
            ends = pa.array([0, len(part)], pa.int32())
            yield pc.binary_join(pa.ListArray.from_arrays(ends, part), b"\n")[0].as_py()
        if end < len(values):
            yield None
        begin = end + 1

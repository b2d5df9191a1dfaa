"""Parsers of text as Spark's workers run them: those that read local files for DuckDB, so that rows are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hup.data.engines.csv_parser import CsvParser, grammar, split_records
from hup.data.engines.jsonl_stream import JSONL_SCHEMA, jsonl_rows, line_batches
from hup.data.engines.reader import problem_rows, with_place_fields
from hup.data.line_blocks import MAX_LINE_BYTES, split_lines, too_long


def text_schema(wanted: Sequence[str]) -> pa.Schema:
    """Wanted columns, all string, and the places of rows."""
    return with_place_fields([pa.field(name, pa.string()) for name in wanted])


@dataclass(frozen=True)
class CsvLines:
    """Parses delimited text.

    Attributes
    ----------
    delimiter : str
        Between fields.
    names : dict of int to tuple of str
        Columns of each file.
    wanted : tuple of str
        Columns to give.
    """

    delimiter: str
    names: dict[int, tuple[str, ...]]
    wanted: tuple[str, ...]

    def __call__(self, file: int, blocks: Iterator[bytes | None], line: int) -> Iterator[pa.RecordBatch]:
        """Yield rows of neighbouring lines of `file`, the first of which is number `line`."""
        names = self.names[file]
        rules = grammar(self.delimiter, len(names))
        columns = [names.index(name) for name in self.wanted]
        parser = CsvParser(file, self.delimiter, rules, columns, text_schema(self.wanted))
        for records in split_records(blocks, line, rules):
            yield from parser.batches(records)


@dataclass(frozen=True)
class JsonLines:
    """Takes wanted keys out of JSON lines by DuckDB, as where the whole preparation runs on it.

    Attributes
    ----------
    wanted : tuple of str
        Keys to give.
    """

    wanted: tuple[str, ...]
    sql: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sql", jsonl_rows("hup_lines", self.wanted))

    def __call__(self, file: int, blocks: Iterator[bytes | None], line: int) -> Iterator[pa.RecordBatch]:
        """Yield rows of neighbouring lines of `file`, the first of which is number `line`."""
        import duckdb

        schema = text_schema(self.wanted)
        # The cores are Spark's.
        with duckdb.connect(":memory:", config={"threads": 1, "preserve_insertion_order": True}) as connection:
            for batch in _json_lines(file, blocks, line):
                connection.register("hup_lines", pa.table(batch))
                yield from connection.sql(self.sql).to_arrow_table().cast(schema).to_batches()
                connection.unregister("hup_lines")


def _json_lines(file: int, blocks: Iterator[bytes | None], line: int) -> Iterator[pa.RecordBatch]:
    for block in blocks:
        if block is None:
            yield problem_rows([too_long(MAX_LINE_BYTES)], [None], file, np.array([line], np.int64), JSONL_SCHEMA)
            line += 1
            continue
        lines = split_lines(block)
        yield from line_batches(lines, block, file, line)
        line += len(lines)

"""JSON lines: one object a line, as texts whose wanted keys SQL takes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.engines.plain_text import plain_blocks, plain_lines
from hup.data.engines.reader import (
    RAW_TEXT_CHARACTERS,
    Dialect,
    SourceFile,
    good_rows,
    problem_rows,
    quoted_name,
    quoted_text,
    shown,
    with_place_fields,
)
from hup.data.engines.table_files import EMPTY, check_columns, first_lines
from hup.data.line_blocks import MAX_LINE_BYTES, line_problems, split_lines, too_long
from hup.data.rejects import FileReject
from hup.errors import HupError

NO_OBJECT = "line is no JSON object"
#: Begins the problem of a line in which a wanted key has a list or an object; its values are given all the same.
NESTED = "nested value in column "
_SCHEMA = with_place_fields([pa.field("hup_json", pa.large_string())])
_LINES_LOOKED_AT = 1_000
_SPACE = " \t\r"


@dataclass(frozen=True)
class JsonlHead:
    """Keys of the first objects of a file, in order of appearance; those of nested objects follow after a dot."""

    names: tuple[str, ...]
    reject: FileReject | None


def jsonl_head(file: SourceFile, dialect: Dialect) -> JsonlHead:
    """Read the keys of the first lines of `file`.

    Raises
    ------
    HupError
        If it is one JSON list, or none of its first lines is a JSON object.
    """
    lines, broken = first_lines(file.path, _LINES_LOOKED_AT)
    filled = [line for line in plain_lines(lines, dialect) if line.strip()]
    if not filled:
        return JsonlHead((), FileReject(file.name, None, broken or EMPTY))
    if filled[0].lstrip().startswith(b"["):
        raise HupError(
            f"{file.path} is one JSON list. Expected one object on each line, without brackets and commas around them; "
            "jq -c '.[]' FILE writes it so."
        )
    objects = [value for line in filled if isinstance(value := _parsed(line), dict)]
    if not objects:
        shown = filled[0][:40].decode(errors="replace")
        raise HupError(
            f"{file.path}: none of the first {len(filled):,} lines is a JSON object; the first begins with {shown!r}. "
            'Expected one object on each line, such as {"user": "u1", "item": "i7"}.'
        )
    names: dict[str, None] = {}
    for value in objects:
        _collect_keys(value, "", names)
    return JsonlHead(tuple(names), None)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError, too
        return None


def _collect_keys(value: dict[str, Any], prefix: str, names: dict[str, None]) -> None:
    for key, inner in value.items():
        if isinstance(inner, dict):
            _collect_keys(inner, f"{prefix}{key}.", names)
        else:
            names.setdefault(prefix + key)


@dataclass(frozen=True)
class JsonlRows:
    """Wanted keys of JSON lines as text: lines as texts in ``hup_json``, out of which SQL takes the keys.

    Lines that are no text are problem rows. Of strings values are their content, of numbers and the like their JSON;
    lists and objects are a problem, too, as each would be an id that is none. A dotted name is a key of a nested
    object, or a key with a dot in it.

    Attributes
    ----------
    files : list of int
        Numbers of the files that have rows.
    wanted : tuple of str
        Keys.
    dialect : Dialect
        How the lines are written.
    """

    files: list[int]
    wanted: tuple[str, ...]
    dialect: Dialect

    @property
    def schema(self) -> pa.Schema:
        """Lines and their places."""
        return _SCHEMA

    def sql(self, table: str) -> str:
        """Give SQL for the rows out of a table of `schema`."""
        pointers: list[str] = []
        columns = []
        nested = []
        for name in self.wanted:
            paths = dict.fromkeys([json_pointer([name]), json_pointer(name.split("."))])
            places = [f"hup_values[{len(pointers) + place}]" for place in range(1, len(paths) + 1)]
            pointers += paths
            value = f"coalesce({', '.join(places)})"
            columns.append(f"{value} AS {quoted_name(name)}, ")
            if name not in self.dialect.nested:
                nested.append(_nested(name, value, list(paths)))
        listed = ", ".join(map(quoted_text, pointers))
        is_object = f"ltrim(hup_json, {quoted_text(_SPACE)})[1] = '{{' AND json_valid(hup_json)"
        return f"""
            SELECT {"".join(columns)}hup_file, hup_row,
                coalesce(hup_problem, CASE WHEN hup_object THEN hup_nested ELSE {quoted_text(NO_OBJECT)} END)
                    AS hup_problem,
                coalesce(hup_text, CASE WHEN hup_object AND hup_nested IS NULL THEN NULL
                    ELSE hup_json[:{RAW_TEXT_CHARACTERS}] END) AS hup_text
            FROM (SELECT *, CASE {" ".join(nested) or "WHEN false THEN ''"} END AS hup_nested FROM (
                SELECT *, CASE WHEN hup_object THEN json_extract_string(hup_json, [{listed}]) END AS hup_values
                FROM (SELECT *, coalesce({is_object}, false) AS hup_object FROM {table})
            ))"""

    def parts(self, file: int, blocks: Iterator[bytes | None]) -> Iterator[Callable[[], list[pa.RecordBatch]]]:
        """Yield, for some lines of a file each, what makes batches of `schema`; parameters as of `CsvRows.parts`."""
        line = 1
        for block in plain_blocks(blocks, self.dialect):
            yield partial(_batches, block, file, line)
            line += 1 if block is None else block.count(b"\n") + 1


def _nested(name: str, value: str, paths: Sequence[str]) -> str:
    """Say of a value that is a list or an object that it is one, as a branch of a CASE.

    Few texts begin like one, and only for these the line is parsed once more.
    """
    kinds = ", ".join(f"nullif(json_type(hup_json, {quoted_text(path)}), 'NULL')" for path in paths)
    kind = f"CASE WHEN left({value}, 1) IN ('[', '{{') THEN coalesce({kinds}) END"
    problem = quoted_text(f"{NESTED}{name!r}: expected text or a number, found ")
    return "".join(
        f"WHEN {kind} = '{json_kind}' THEN {problem} || {quoted_text(what)} "
        for json_kind, what in (("ARRAY", "a list"), ("OBJECT", "an object"))
    )


def json_pointer(keys: Sequence[str]) -> str:
    """Write the place of a value as a JSON pointer (RFC 6901)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _batches(block: bytes | None, file: int, first: int) -> list[pa.RecordBatch]:
    """Give lines of a block as texts, and those that are no text as problem rows; the first line is number `first`."""
    if block is None:
        return [problem_rows([too_long(MAX_LINE_BYTES)], [None], file, np.array([first], np.int64), _SCHEMA)]
    lines = split_lines(block)
    rows = np.arange(first, first + len(lines), dtype=np.int64)
    reasons = line_problems(lines, block)
    if reasons is None:
        return [good_rows([lines.view(pa.large_string())], file, rows, _SCHEMA)]
    bad = reasons.is_valid()
    chosen = bad.to_numpy(zero_copy_only=False)
    texts = [shown(line) for line in lines.filter(bad).to_pylist()]
    good = lines.filter(pc.invert(bad)).view(pa.large_string())
    return [
        problem_rows(reasons.drop_null(), texts, file, rows[chosen], _SCHEMA),
        good_rows([good], file, rows[~chosen], _SCHEMA),
    ]


def jsonl_rows(
    files: Sequence[SourceFile], wanted: Sequence[str], dialect: Dialect
) -> tuple[JsonlRows, list[FileReject | None]]:
    """Give the rows of `files`, and why those have none that have none.

    Raises
    ------
    HupError
        If a key is in none of the first lines of any file (an object may lack a key), or as `jsonl_head`.
    """
    heads = [jsonl_head(file, dialect) for file in files]
    if any(head.reject is None for head in heads):
        existing = list(dict.fromkeys(name for head in heads for name in head.names))
        place = str(files[0].path) if len(files) == 1 else f"None of the {len(files)} files, such as {files[0].path},"
        check_columns(place, existing, wanted)
    numbers = [number for number, head in enumerate(heads) if head.reject is None]
    return JsonlRows(numbers, tuple(wanted), dialect), [head.reject for head in heads]

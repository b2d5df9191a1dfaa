"""JSON lines: one object a line, as a stream of texts whose wanted keys SQL takes out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.engines.reader import RAW_TEXT_CHARACTERS, SourceFile, good_rows, problem_rows, shown, with_place_fields
from hup.data.engines.sql_text import quoted_name, quoted_text
from hup.data.engines.table_files import EMPTY, check_columns, first_lines
from hup.data.line_blocks import MAX_LINE_BYTES, StreamBroken, line_problems, split_lines, too_long, whole_lines
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.errors import HupError

NO_OBJECT = "line is no JSON object"
JSONL_SCHEMA = with_place_fields([pa.field("hup_json", pa.large_string())])
_LINES_LOOKED_AT = 1_000
_SPACE = " \t\r"


@dataclass(frozen=True)
class JsonlHead:
    """Keys of the first objects of a file, in order of appearance; those of nested objects follow after a dot."""

    names: tuple[str, ...]
    reject: FileReject | None


def jsonl_head(file: SourceFile) -> JsonlHead:
    """Read the keys of the first lines of `file`.

    Raises
    ------
    HupError
        If it is one JSON list, or none of its first lines is a JSON object.
    """
    lines, broken = first_lines(file.path, _LINES_LOOKED_AT)
    filled = [line for line in lines if line.strip()]
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


def jsonl_rows(table: str, wanted: Sequence[str]) -> str:
    """Give SQL for the `wanted` keys of the texts in `table`, and the places of its rows.

    Values are text: of strings their content, of others their JSON. A dotted name is a key of a nested object, or a
    key with a dot in it.
    """
    pointers: list[str] = []
    columns = []
    for name in wanted:
        paths = dict.fromkeys([_pointer([name]), _pointer(name.split("."))])
        places = [f"hup_values[{len(pointers) + place}]" for place in range(1, len(paths) + 1)]
        pointers += paths
        columns.append(f"coalesce({', '.join(places)}) AS {quoted_name(name)}, ")
    listed = ", ".join(map(quoted_text, pointers))
    is_object = f"ltrim(hup_json, {quoted_text(_SPACE)})[1] = '{{' AND json_valid(hup_json)"
    return f"""
        SELECT {"".join(columns)}hup_file, hup_row,
            coalesce(hup_problem, CASE WHEN hup_object THEN NULL ELSE {quoted_text(NO_OBJECT)} END) AS hup_problem,
            coalesce(hup_text, CASE WHEN hup_object THEN NULL ELSE hup_json[:{RAW_TEXT_CHARACTERS}] END) AS hup_text
        FROM (
            SELECT *, CASE WHEN hup_object THEN json_extract_string(hup_json, [{listed}]) END AS hup_values
            FROM (SELECT *, coalesce({is_object}, false) AS hup_object FROM {table})
        )"""


def _pointer(keys: Sequence[str]) -> str:
    """Write the place of a value as a JSON pointer (RFC 6901)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


@dataclass
class JsonlStream:
    """Reads the lines of `files`, once, in order, as texts in ``hup_json``; lines that are no text are problem rows.

    Attributes
    ----------
    files : sequence of SourceFile
        All files; ``hup_file`` is the index into it.
    heads : sequence of JsonlHead
        Of each file; those rejected are not read.
    progress : Progress
        Told the bytes read.
    file_rejects : list of FileReject
        Gets the compressed files that break off.
    """

    files: Sequence[SourceFile]
    heads: Sequence[JsonlHead]
    progress: Progress
    file_rejects: list[FileReject]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of `JSONL_SCHEMA`."""
        for number, (file, head) in enumerate(zip(self.files, self.heads, strict=True)):
            if head.reject is None:
                yield from self._file_batches(number, file)
            else:
                self.progress.advance(file.bytes)

    def _file_batches(self, number: int, file: SourceFile) -> Iterator[pa.RecordBatch]:
        line = 1
        try:
            for block in whole_lines(file.path, self.progress.advance, MAX_LINE_BYTES):
                if block is None:
                    row = np.array([line], np.int64)
                    yield problem_rows([too_long(MAX_LINE_BYTES)], [None], number, row, JSONL_SCHEMA)
                    line += 1
                    continue
                lines = split_lines(block)
                yield from line_batches(lines, block, number, line)
                line += len(lines)
        except StreamBroken as broken:
            self.file_rejects.append(FileReject(file.name, line, str(broken)))


def line_batches(lines: pa.LargeBinaryArray, block: bytes, file: int, first: int) -> Iterator[pa.RecordBatch]:
    """Yield lines of a block as texts of `JSONL_SCHEMA`, and those that are no text as problem rows.

    Parameters
    ----------
    lines : LargeBinaryArray
        The lines of `block`.
    block : bytes
        Whole lines, joined by newlines.
    file : int
        Index of the file.
    first : int
        1-based number of the first line.
    """
    rows = np.arange(first, first + len(lines), dtype=np.int64)
    reasons = line_problems(lines, block)
    if reasons is not None:
        bad = reasons.is_valid()
        texts = [shown(line) for line in lines.filter(bad).to_pylist()]
        chosen = bad.to_numpy(zero_copy_only=False)
        yield problem_rows(reasons.drop_null(), texts, file, rows[chosen], JSONL_SCHEMA)
        rows, lines = rows[~chosen], lines.filter(pc.invert(bad))
    if len(rows):
        yield good_rows([lines.view(pa.large_string())], file, rows, JSONL_SCHEMA)


def check_jsonl_columns(files: Sequence[SourceFile], heads: Sequence[JsonlHead], wanted: Sequence[str]) -> None:
    """Refuse keys that are in none of the first lines of any file: an object may lack a key, all may not."""
    existing = list(dict.fromkeys(name for head in heads for name in head.names))
    place = str(files[0].path) if len(files) == 1 else f"None of the {len(files)} files, such as {files[0].path},"
    check_columns(place, existing, wanted)

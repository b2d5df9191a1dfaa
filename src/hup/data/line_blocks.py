"""Lines of text files in blocks: where they end, and which of them are no text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hup.data.blocks import read_blocks

MAX_LINE_BYTES = 64 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def whole_lines(path: Path, advance: Callable[[int], None], longest: int) -> Iterator[bytes | None]:
    """Yield the unpacked lines of `path` in blocks, without a byte order mark.

    Parameters
    ----------
    path : Path
        The file, perhaps packed (see `read_blocks`).
    advance : callable
        Told the number of bytes read from disk.
    longest : int
        Bytes that a line may have.

    Yields
    ------
    bytes or None
        Lines joined by newlines, none after the last (so one empty line is ``b""``); None stands for one line longer
        than `longest`, which is left out. A file without bytes yields nothing.

    Raises
    ------
    StreamBroken
        After the last whole line, where a compressed file is cut off or damaged.
    HupError
        If the file cannot be read.
    """
    rest = b""
    begun = skipping = False
    for block in read_blocks(path, advance):
        text = rest + block if begun else block.removeprefix(_BYTE_ORDER_MARK)
        begun = True
        if skipping:
            _, newline, text = text.partition(b"\n")
            skipping = not newline
        end = text.rfind(b"\n") + 1
        if end:
            yield text[: end - 1]
        rest = text[end:]
        if len(rest) > longest:
            yield None
            rest, skipping = b"", True
    if rest:
        yield rest


def split_lines(block: bytes) -> pa.LargeBinaryArray:
    """Split lines joined by newlines; carriage returns and spaces at their ends are dropped."""
    lines = pc.split_pattern(pa.array([block], pa.large_binary()), b"\n").values
    # Only where needed: the trim copies every line.
    if b"\r" in block or b" \n" in block or block.endswith(b" "):
        lines = pc.replace_substring_regex(lines, rb"[ \r]+$", b"")
    return lines


def line_problems(lines: pa.LargeBinaryArray, block: bytes) -> pa.StringArray | None:
    """Say for each line why it cannot be used (null: it can), or None if all can; `block` is what they are from."""
    empty = pc.equal(pc.binary_length(lines), 0)
    reasons = pc.if_else(empty, "empty line", pa.scalar(None, pa.string()))
    if not is_utf8(block):
        reasons = pc.coalesce(reasons, pa.array([_not_utf8(line) for line in lines.to_pylist()], pa.string()))
    return reasons if reasons.null_count < len(reasons) else None


def too_long(longest: int) -> str:
    """Say that a line is longer than `longest` bytes."""
    return f"line is longer than {longest >> 20} MiB"


def is_utf8(text: bytes) -> bool:
    """Whether `text` is UTF-8; faster than decoding it, and other threads go on."""
    try:
        pa.array([text], pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def utf8_problem(text: bytes) -> tuple[int, int] | None:
    """Give the first byte that makes `text` no UTF-8 and its index, or None."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return text[error.start], error.start
    return None


def _not_utf8(line: bytes) -> str | None:
    problem = utf8_problem(line)
    return problem and f"line is not UTF-8: byte 0x{problem[0]:02x} at column {problem[1] + 1}"

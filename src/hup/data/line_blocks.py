"""Lines of plain, gzip and Zstandard files in blocks of bounded size: where they end, and which of them are no text."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from hup.errors import HupError

BLOCK_BYTES = 4 << 20
_PACKED_BYTES = 256 << 10
MAX_LINE_BYTES = 64 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StreamBroken(Exception):  # noqa: N818 - no error to the caller: what came before it is used
    """A compressed file ends early or is damaged; everything before the break was yielded."""


def read_blocks(path: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the unpacked bytes of `path`; packing is told by the suffix ``.gz`` or ``.zst``.

    Parameters
    ----------
    path : Path
        The file.
    advance : callable
        Told the number of bytes read from disk.

    Raises
    ------
    StreamBroken
        After the last good block, where a compressed file is cut off or damaged.
    HupError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            packing = path.suffix.lower()
            if packing == ".gz":
                yield from _unpack(file, advance, lambda: zlib.decompressobj(wbits=31), "gzip")
            elif packing == ".zst":
                yield from _unpack(file, advance, zstandard.ZstdDecompressor().decompressobj, "Zstandard")
            else:
                while block := file.read(BLOCK_BYTES):
                    advance(len(block))
                    yield block
    except OSError as error:
        raise HupError(f"{path} cannot be read: {error.strerror or error}.") from error


def _unpack(
    file: BinaryIO, advance: Callable[[int], None], new_stream: Callable[[], Any], packing: str
) -> Iterator[bytes]:
    """Unpack a file of one or more compressed streams, one after the other."""
    pieces: list[bytes] = []
    waiting = unpacked = 0
    broken: str | None = None
    stream: Any = None
    while packed := file.read(_PACKED_BYTES):
        advance(len(packed))
        try:
            while packed:
                if stream is None:
                    # Zero bytes may pad the space between and after streams (tapes, block devices).
                    packed = packed.lstrip(b"\0")
                    if not packed:
                        break
                    stream = new_stream()
                piece = stream.decompress(packed)
                packed, stream = (stream.unused_data, None) if stream.eof else (b"", stream)
                pieces.append(piece)
                waiting += len(piece)
                unpacked += len(piece)
        except (zlib.error, zstandard.ZstdError) as error:
            broken = f"{packing} stream is damaged after {unpacked} bytes of text: {error}"
            break
        if waiting >= BLOCK_BYTES:
            yield b"".join(pieces)
            pieces, waiting = [], 0
    if waiting:
        yield b"".join(pieces)
    if broken is None and stream is not None:
        broken = f"{packing} stream ends early, after {unpacked} bytes of text"
    if broken is not None:
        raise StreamBroken(broken)


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

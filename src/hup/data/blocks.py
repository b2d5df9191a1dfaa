"""Bytes of plain, gzip and Zstandard files in blocks of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from hup.errors import HupError

BLOCK_BYTES = 4 << 20
_PACKED_BYTES = 256 << 10


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

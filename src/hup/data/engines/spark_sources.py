"""Files that Spark reads: local ones, and those that only Spark's file systems know, listed and opened from here."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from hup.data.engines.reader import SourceFile
from hup.data.engines.spark_errors import in_one_line
from hup.errors import HupError

_MAGIC = re.compile(r"[{}\[\]*?\\]")
_LOCAL = re.compile(r"^file:/+")
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class RemotePath:
    """A file of a Hadoop file system, with those parts of a `Path` that reading asks for.

    Attributes
    ----------
    uri : str
        Not percent-encoded, as Hadoop shows paths.
    hadoop : object
        The Java path.
    configuration : object
        Java configuration that tells how to reach it.
    """

    uri: str
    hadoop: Any = field(repr=False, compare=False)
    configuration: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """Name in its folder."""
        return posixpath.basename(self.uri)

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """Name without its ending."""
        return Path(self.name).stem

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open it for reading bytes, from any place in it."""
        with in_one_line(f"{self.uri} cannot be read"):
            system = self.hadoop.getFileSystem(self.configuration)
            size = system.getFileStatus(self.hadoop).getLen()
            stream = system.open(self.hadoop)
        return io.BufferedReader(_HadoopStream(stream, size, self.uri), _BUFFER_BYTES)


class _HadoopStream(io.RawIOBase):
    """Bytes of a Java stream; each read is a message to another process, so it belongs into a buffer."""

    def __init__(self, stream: Any, size: int, uri: str) -> None:
        self._stream = stream
        self._size = size
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with in_one_line(f"{self._uri} cannot be read"):
            read = bytes(self._stream.readNBytes(len(buffer)))
        buffer[: len(read)] = read
        return len(read)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        with in_one_line(f"{self._uri} cannot be read"):
            self._stream.seek(start + offset)
        return start + offset

    def tell(self) -> int:
        return int(self._stream.getPos())

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def list_uris(spark: Any, uris: Sequence[str]) -> list[SourceFile]:
    """List the files that `uris` mean, in order of their paths.

    Parameters
    ----------
    spark : SparkSession
        Knows the file systems.
    uris : sequence of str
        Files, folders (taken with their subfolders; names that begin with ``.`` or ``_`` are left out) and globs.

    Returns
    -------
    list of SourceFile
        Their paths are `RemotePath`. Names are relative to the folder that all have in common, without ``.gz``.

    Raises
    ------
    HupError
        If a URI matches nothing, or its file system is not known or not reachable.
    """
    found: dict[str, tuple[RemotePath, int]] = {}
    for uri in uris:
        before = len(found)
        with in_one_line(f"{uri} cannot be listed"):
            seen = 0
            for path, size in _expand(spark, uri):
                found[path.uri] = (path, size)
                seen += 1
        if not seen and len(found) == before:
            raise HupError(f"There is no file {uri}, or the folder is empty.")
    ordered = [found[uri] for uri in sorted(found)]
    names = _names([path.uri for path, _size in ordered])
    return [SourceFile(cast(Path, path), name, size) for (path, size), name in zip(ordered, names, strict=True)]


def _expand(spark: Any, uri: str) -> Iterator[tuple[RemotePath, int]]:
    configuration = spark._jsparkSession.sessionState().newHadoopConf()
    pattern = spark._jvm.org.apache.hadoop.fs.Path(uri)
    system = pattern.getFileSystem(configuration)
    for status in system.globStatus(pattern) or ():
        if status.isFile():
            yield RemotePath(_shown(status), status.getPath(), configuration), int(status.getLen())
            continue
        root = _shown(status)
        files = system.listFiles(status.getPath(), True)
        while files.hasNext():
            file = files.next()
            inner = posixpath.relpath(_shown(file), root)
            if not any(part.startswith((".", "_")) for part in inner.split("/")):
                yield RemotePath(_shown(file), file.getPath(), configuration), int(file.getLen())


def _shown(status: Any) -> str:
    return _LOCAL.sub("file:///", str(status.getPath().toString()))


def _names(uris: Sequence[str]) -> list[str]:
    root = posixpath.commonpath([posixpath.dirname(uri) for uri in uris]) if uris else ""
    full = [posixpath.relpath(uri, root) for uri in uris]
    short = [name.removesuffix(".gz").removesuffix(".zst") for name in full]
    return [name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True)]


def spark_path(file: SourceFile) -> str:
    """Give the path of `file` as Spark's readers take it: a pattern that matches this file alone."""
    return _MAGIC.sub(r"\\\g<0>", _uri(file))


def _uri(file: SourceFile) -> str:
    path: object = file.path
    return path.uri if isinstance(path, RemotePath) else f"file://{file.path.absolute()}"


def split_key(spark: Any, file: SourceFile) -> str:
    """Give what ``_metadata.file_path`` will say of `file`: percent-encoded."""
    uri = str(spark._jvm.org.apache.hadoop.fs.Path(_uri(file)).toUri().toString())
    return _LOCAL.sub("file:/", uri)

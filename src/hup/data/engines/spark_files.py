"""Files that Spark reads: local ones, and those that only Spark's file systems know, listed and opened from here."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
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
    hadoop, configuration : object
        The Java path, and the Java configuration that tells how to reach it.
    """

    uri: str
    hadoop: Any = field(repr=False, compare=False)
    configuration: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.uri

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return PurePosixPath(self.uri).suffix

    @property
    def stem(self) -> str:
        """Name without its ending."""
        return PurePosixPath(self.uri).stem

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open it for reading bytes, from any place in it."""
        with in_one_line(f"{self.uri} cannot be read"):
            system = self.hadoop.getFileSystem(self.configuration)
            size = system.getFileStatus(self.hadoop).getLen()
            return io.BufferedReader(_HadoopStream(system.open(self.hadoop), size, self.uri), _BUFFER_BYTES)


class _HadoopStream(io.RawIOBase):
    """Bytes of a Java stream; each read is a message to another process, so it belongs into a buffer."""

    def __init__(self, stream: Any, size: int, uri: str) -> None:
        self._stream, self._size, self._uri = stream, size, uri

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
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        with in_one_line(f"{self._uri} cannot be read"):
            self._stream.seek(place)
        return place

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
    sizes: dict[RemotePath, int] = {}
    for uri in uris:
        with in_one_line(f"{uri} cannot be listed"):
            matches = dict(_expand(spark, uri))
        if not matches:
            raise HupError(f"There is no file {uri}, or the folder is empty.")
        sizes |= matches
    ordered = sorted(sizes, key=str)
    names = _names([path.uri for path in ordered])
    return [SourceFile(cast(Path, path), name, sizes[path]) for path, name in zip(ordered, names, strict=True)]


def _expand(spark: Any, uri: str) -> Iterator[tuple[RemotePath, int]]:
    configuration = spark._jsparkSession.sessionState().newHadoopConf()
    pattern = spark._jvm.org.apache.hadoop.fs.Path(uri)
    system = pattern.getFileSystem(configuration)
    for status in system.globStatus(pattern) or ():
        root = _shown(status.getPath())
        files = system.listFiles(status.getPath(), True)
        while files.hasNext():
            file = files.next()
            path = _shown(file.getPath())
            inner = posixpath.relpath(path, root)
            if path == root or not any(part.startswith((".", "_")) for part in inner.split("/")):
                yield RemotePath(path, file.getPath(), configuration), int(file.getLen())


def _shown(path: Any) -> str:
    return _LOCAL.sub("file:///", str(path.toString()))


def _names(uris: Sequence[str]) -> list[str]:
    root = posixpath.commonpath([posixpath.dirname(uri) for uri in uris])
    full = [posixpath.relpath(uri, root) for uri in uris]
    short = [name.removesuffix(".gz").removesuffix(".zst") for name in full]
    return [name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True)]


def text_lines(spark: Any, files: Sequence[SourceFile], numbers: Sequence[int]) -> Any:
    """Read lines as bytes, in order: ``hup_file``, null if the file was cut into pieces, and ``hup_line``.

    Parameters
    ----------
    spark : SparkSession
        Reads each file in one piece.
    files : sequence of SourceFile
        Text files; those that Spark cannot unpack must not be among them.
    numbers : sequence of int
        Those of `files` to read.
    """
    chosen = [files[number] for number in numbers]
    with in_one_line(f"{chosen[0].path}{' and others' if len(chosen) > 1 else ''} cannot be read"):
        read = spark.read.option("lineSep", "\n").text(_patterns(chosen))
        placed = _with_file_numbers(read.withColumn("hup_start", read["_metadata.file_block_start"]), chosen, numbers)
        return placed.selectExpr("if(hup_start = 0, hup_file, NULL) AS hup_file", "CAST(value AS BINARY) AS hup_line")


def parquet_rows(spark: Any, files: Sequence[SourceFile], numbers: Sequence[int], wanted: Sequence[str]) -> Any:
    """Read `wanted` columns of Parquet files of one schema, ``hup_file`` and ``hup_row``; parameters as above."""
    from pyspark.sql import functions

    chosen = [files[number] for number in numbers]
    with in_one_line(f"{chosen[0].path} cannot be read as Parquet"):
        read = spark.read.parquet(*_patterns(chosen))
        placed = _with_file_numbers(
            read.withColumn("hup_row", functions.expr("_metadata.row_index + 1")), chosen, numbers
        )
        return placed.select(*map(quoted, wanted), "hup_file", "hup_row")


def quoted(name: str) -> str:
    """Write a name of a column as Spark's SQL takes it."""
    return "`" + name.replace("`", "``") + "`"


def _patterns(files: Sequence[SourceFile]) -> list[str]:
    """Give the paths of `files` as Spark's readers take them: patterns that match one file each."""
    return [_MAGIC.sub(r"\\\g<0>", _uri(file)) for file in files]


def _uri(file: SourceFile) -> str:
    path: object = file.path
    return path.uri if isinstance(path, RemotePath) else f"file://{file.path.absolute()}"


def _with_file_numbers(frame: Any, files: Sequence[SourceFile], numbers: Sequence[int]) -> Any:
    """Add ``hup_file`` to what Spark read: the one of `numbers` that is its file's; null for others."""
    from pyspark.sql import functions

    spark = frame.sparkSession
    new_path = spark._jvm.org.apache.hadoop.fs.Path
    # What Spark tells of a row's file is percent-encoded.
    keys = [_LOCAL.sub("file:/", str(new_path(_uri(file)).toUri().toString())) for file in files]
    places = spark.createDataFrame(list(zip(keys, numbers, strict=True)), "hup_path string, hup_file int")
    path = functions.regexp_replace("_metadata.file_path", "^file:/+", "file:/")
    return frame.withColumn("hup_path", path).join(functions.broadcast(places), "hup_path", "left")

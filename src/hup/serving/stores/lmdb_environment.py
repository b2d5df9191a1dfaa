"""An LMDB environment that several processes share and that grows by itself; what goes wrong is said in plain words."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import lmdb

from hup.errors import StoreError

if TYPE_CHECKING:
    from lmdb import _Database

#: Bytes that are mapped at first. The file takes only what is used.
FIRST_MAP = 64 << 20

#: Processes, times tasks of each that read at the same moment.
MOST_READERS = 1024

#: Of what is kept in the databases; a store of another one is not opened.
FORMAT = b"1"

_DATABASES = (b"records", b"expiry", b"items", b"item revisions")

Made = TypeVar("Made")
Reader = Callable[["lmdb.Transaction[bytes]"], Made]


class LmdbEnvironment:
    """Databases by name, and transactions on them; calls may come from several threads.

    Parameters
    ----------
    folder : Path
        Made if it is not there; the folder above must be.

    Raises
    ------
    hup.errors.StoreError
        By every method: the folder cannot be written, its disk is full, or what is in it is damaged or something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Whoever maps the file anew must be alone: a transaction that reads meanwhile would read unmapped memory.
        self._mapped = threading.RLock()
        with self._plain_errors("be opened"):
            self._open()

    def read(self, reader: Reader[Made]) -> Made:
        """Call with a transaction that sees one moment; only for what takes microseconds."""
        with self._plain_errors("be read"), self._mapped:
            while True:
                try:
                    with self._environment.begin() as transaction:
                        return reader(transaction)
                except lmdb.MapResizedError:  # another process let it grow
                    self._environment.set_mapsize(0)

    def write(self, writers: Sequence[Reader[Any]]) -> list[Any]:
        """Call all with one transaction; when it returns, what they have written is durable, and none of it if not."""
        with self._plain_errors("be written"):
            while True:
                try:
                    with self._environment.begin(write=True) as transaction:
                        return [writer(transaction) for writer in writers]
                except lmdb.MapFullError:
                    with self._mapped:
                        self._environment.set_mapsize(2 * self._environment.info()["map_size"])
                except lmdb.MapResizedError:
                    with self._mapped:
                        self._environment.set_mapsize(0)
                except lmdb.PanicError:
                    # The disk failed where LMDB must not be interrupted: it refuses all from now on, until reopened.
                    with self._mapped:
                        self._environment.close()
                        self._open()
                    raise

    def close(self) -> None:
        """Let go of the files."""
        with self._mapped:
            self._environment.close()

    def _open(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._environment = lmdb.open(
            str(self.folder),
            map_size=FIRST_MAP,
            max_dbs=1 + len(_DATABASES),
            max_readers=MOST_READERS,
            readahead=False,  # users come in no order
        )
        try:
            self._check_whole()
            self._environment.reader_check()  # processes that were killed hold old pages as if they still read them
            self._open_databases()
        except BaseException:
            self._environment.close()
            raise

    def _check_whole(self) -> None:
        """Refuse a file that was cut: reading what is mapped beyond its end would kill the process."""
        used = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
        there = (self.folder / "data.mdb").stat().st_size
        # Two pages are there from the start, and of a new file that is all.
        if there < used and self._environment.info()["last_txnid"] > 0:
            raise lmdb.CorruptedError(f"data.mdb has {there:,} bytes, expected at least {used:,}")

    def _open_databases(self) -> None:
        with self._environment.begin(write=True) as transaction:
            others = transaction.stat()["entries"]
            about = self._environment.open_db(b"about", txn=transaction, create=not others)
            found = transaction.get(b"format", db=about)
            if others and found != FORMAT:
                raise lmdb.VersionMismatchError(f"format {found!r}, expected {FORMAT!r}")
            transaction.put(b"format", FORMAT, db=about)
            self.about = about
            self.records, self.expiry, self.items, self.item_revisions = (
                self._environment.open_db(name, txn=transaction) for name in _DATABASES
            )

    about: _Database
    records: _Database
    expiry: _Database
    items: _Database
    item_revisions: _Database

    @contextmanager
    def _plain_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError) as error:
            reason = str(error).removesuffix(".")
            raise StoreError(f"The store in {self.folder} cannot {what}: {reason}. {_advice(error)}") from error


_DAMAGES = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def _advice(error: lmdb.Error | OSError) -> str:
    """Say what to do about an error."""
    # Errors that were raised here have no number.
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", None)
    if isinstance(error, _DAMAGES):
        return "It is damaged, or not a store of this version of HUP. Move it aside, and put a copy there, or none."
    if code in _FULL or isinstance(error, lmdb.DiskError):
        return "Make room on its disk; nothing that was kept is lost."
    if code == errno.EIO:  # also what LMDB says where only a part of a page could be written
        return "Its disk is full, or fails. Make room on its disk, or see what the system's log says."
    if code in _FORBIDDEN or isinstance(error, lmdb.ReadonlyError):
        return "Give the service the right to write there, or choose another folder."
    if isinstance(error, FileNotFoundError):
        return "Make the folder above it first, or choose another one."
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "Name a folder, or one that is yet to be made."
    return "See whether its disk is there and whole."

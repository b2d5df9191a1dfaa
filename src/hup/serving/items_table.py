"""The table of items that is given to the service: read once, and mapped by all workers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hup.data.item_columns import ItemColumns
from hup.data.items import items_alone
from hup.data.manifest import ItemColumnsInfo

_INFO: Final = "items.json"


@contextmanager
def prepared_items(items: Sequence[Path]) -> Iterator[Path]:
    """Read a table of items, as `hup prepare --items` does, into a folder that goes with the block.

    Raises
    ------
    HupError
        It does not read.
    """
    with tempfile.TemporaryDirectory(prefix="hup-items-") as name:
        folder = Path(name)
        info = items_alone(items, folder)
        (folder / _INFO).write_text(info.model_dump_json(), encoding="utf-8")
        yield folder


def open_items(folder: Path) -> ItemColumns | None:
    """Open what :func:`prepared_items` has made."""
    info = ItemColumnsInfo.model_validate_json((folder / _INFO).read_text(encoding="utf-8"))
    return ItemColumns.open(folder, info)

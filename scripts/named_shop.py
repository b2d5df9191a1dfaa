#!/usr/bin/env python3
"""Give the items and categories of a simulated log names and pictures, so that people have something to read.

    python scripts/named_shop.py clicks.csv --log named.csv --items items.csv

The names are made up, as the shop is.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path
from urllib.parse import quote

DEPARTMENTS = "Home Garden Sports Office Travel Toys Music Health"
MATERIALS = "Steel Oak Wool Glass Cotton Copper Bamboo Linen Clay Leather Paper Stone Silk Pine Brass Cork"
GOODS = (
    "Kettles Lamps Chairs Bowls Clocks Racks Blankets Mirrors Baskets Pans Vases Rugs Bottles Hooks Trays Stools "
    "Combs Jars Desks Cups Crates Fans Scales Plates Spades Tents Drums Bags Mats Kites"
)
MODELS = "Alma Birk Cora Dahl Elin Finn Gard Hilda Ivar Jona Kaja Lund Mira Nord Odin Pia Runa Saga Tove Vidar"


def numbered(words: str, number: int) -> str:
    """Give the word of a number, and beyond the last one the first again with a number of its own."""
    known = words.split()
    again, place = divmod(number, len(known))
    return known[place] + (f" {again + 1}" if again else "")


def category(code: str, level: int, levels: int) -> str:
    """Name a category: the finest are goods, the coarsest departments."""
    words = GOODS if level == levels - 1 else DEPARTMENTS if level == 0 else MATERIALS
    return numbered(words, int(re.sub(r"\D", "", code) or 0))


def picture(path: tuple[str, ...], place: int) -> str:
    """Draw a tile, whose colour is the category's; it lies in the address itself."""
    hue, turn = sum(map(ord, "".join(path))) * 47 % 360, place * 29 % 90
    return "data:image/svg+xml," + quote(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 28 28'>"
        f"<path fill='hsl({hue} 45% 62%)' d='M0 0h28v28H0z'/>"
        f"<path fill='hsl({hue} 55% 36%)' transform='rotate({turn} 14 14)' d='M8 8h12v12H8z'/></svg>"
    )


def main() -> None:
    """Read the log, and write it and the items."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="log of `hup simulate --format events`")
    parser.add_argument("--log", type=Path, required=True, help="the log, with names of categories")
    parser.add_argument("--items", type=Path, required=True, help="a table of items: item, name, image")
    asked = parser.parse_args()

    paths: dict[str, tuple[str, ...]] = {}
    with asked.source.open(newline="") as source, asked.log.open("w", newline="") as log:
        rows = csv.DictReader(source)
        columns = [name for name in rows.fieldnames or () if name.startswith("category_")]
        named = csv.DictWriter(log, rows.fieldnames or ())
        named.writeheader()
        for row in rows:
            path = tuple(category(row[name], level, len(columns)) for level, name in enumerate(columns))
            paths[row["item"]] = path
            named.writerow(row | dict(zip(columns, path, strict=True)))
    with asked.items.open("w", newline="") as items:
        table = csv.writer(items)
        table.writerow(["item", "name", "image"])
        for place, (item, path) in enumerate(sorted(paths.items())):
            good = path[-1].split()[0].removesuffix("s").lower()
            material = path[-2].split()[0] if len(path) > 1 else "Plain"
            table.writerow([item, f"{material} {good} {numbered(MODELS, place)}", picture(path, place)])


if __name__ == "__main__":
    main()

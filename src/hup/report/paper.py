"""The paper's own figures: Tables 2 and 3, measured by its authors on the full data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperStatistics:
    """A column of Table 2."""

    title: str
    users: int
    products: int
    categories: int
    events: int


STATISTICS = {
    "appliances": PaperStatistics("JD-Appliances", 6_166_916, 169_856, 103, 176_483_033),
    "computers": PaperStatistics("JD-Computers", 3_191_573, 419_388, 93, 88_766_833),
}

_DATASETS = ("appliances", "computers")
_COLUMNS = (("item", "recall"), ("item", "mrr"), ("category", "recall"), ("category", "mrr"))
# Table 3 by row: Recall@20, MRR@20 of items, Recall@5, MRR@5 of categories; Appliances, then Computers.
_TABLE_3 = {
    "popularity": (3.1, 0.5, 45.0, 24.0, 3.4, 1.0, 44.0, 28.6),
    "bpr-mf": (13.1, 3.1, 55.4, 35.0, 11.3, 3.0, 70.1, 42.9),
    "item-knn": (42.9, 9.6, 87.0, 43.1, 29.8, 6.8, 68.8, 32.7),
    "word2vec": (38.5, 8.8, 91.1, 90.6, 28.4, 6.2, 84.1, 81.6),
    "word2vec-avg": (38.7, 13.1, 86.7, 80.0, 24.4, 7.1, 81.0, 71.5),
    "rib": (47.6, 14.3, 92.9, 91.2, 28.6, 7.6, 88.0, 83.0),
    "time-lstm": (49.4, 18.9, 93.4, 91.3, 32.8, 10.9, 88.7, 83.9),
    "s-hrnn": (49.8, 19.2, 92.6, 90.4, 33.0, 11.0, 88.2, 82.9),
    "hup": (51.5, 20.5, 93.8, 91.6, 35.0, 12.0, 89.2, 84.4),
    "hup-nomicro": (49.6, 19.3, 93.1, 91.1, 32.6, 10.6, 88.2, 83.6),
    "hup-lstm": (50.1, 19.6, 93.2, 91.3, 32.7, 10.7, 88.3, 83.6),
    "hup-tlstm": (50.9, 20.0, 93.5, 91.3, 33.8, 11.3, 88.8, 84.0),
    "hup-noatt": (50.3, 19.7, 93.6, 91.5, 33.8, 11.4, 89.1, 84.2),
    "hup-single": (50.5, 19.7, 93.4, 91.5, 33.9, 11.4, 88.6, 83.8),
}

PAPER_ROWS = tuple(_TABLE_3)


def paper_dataset(label: str) -> str | None:
    """Guess which of the paper's datasets a label speaks of; none for simulated ones."""
    text = label.lower()
    if "simul" in text:
        return None
    return next((name for name in _DATASETS if name in text), None)


def paper_figure(dataset: str | None, row: str, level: str, metric: str, finest: str) -> float | None:
    """Look a figure of Table 3 up, as a share; None where the paper has none.

    Parameters
    ----------
    dataset : {"appliances", "computers"} or None
    row : str
        Name of the row here.
    level : str
        ``"item"`` or ``"category_k"``; of categories the paper has the finest level.
    metric : {"recall", "mrr"}
    finest : str
        The finest category level.

    Examples
    --------
    >>> paper_figure("computers", "hup", "item", "recall", "category_1")
    0.35
    """
    if dataset is None or row not in _TABLE_3 or level not in ("item", finest):
        return None
    column = _COLUMNS.index(("item" if level == "item" else "category", metric))
    return round(_TABLE_3[row][4 * _DATASETS.index(dataset) + column] / 100, 5)

"""Kinds of models by name, imported when they are asked for."""

from __future__ import annotations

import importlib
from pathlib import Path

from hup.errors import HupError
from hup.recommender.base import Recommender
from hup.recommender.model_folder import CONFIG, read_config

#: Kind -> module and class.
KINDS: dict[str, tuple[str, str]] = {
    "bpr-mf": ("hup.models.counted.bpr_mf", "BPRMF"),
    "by-level": ("hup.models.counted.by_level", "ByLevel"),
    "gru4rec": ("hup.models.trained.gru4rec", "GRU4Rec"),
    "hup": ("hup.models.hup.model", "HUP"),
    "item-knn": ("hup.models.counted.item_knn", "ItemKNN"),
    "lightgbm": ("hup.models.boosted.model", "LightGBM"),
    "popularity": ("hup.recommender.popularity", "Popularity"),
    "recency": ("hup.recommender.recency", "Recency"),
    "rib": ("hup.models.trained.rib", "RIB"),
    "s-hrnn": ("hup.models.trained.s_hrnn", "SHRNN"),
    "sasrec": ("hup.models.trained.sasrec", "SASRec"),
    "slist": ("hup.models.counted.slist", "SLIST"),
    "slist+recency": ("hup.models.counted.blend", "SLISTRecency"),
    "stan": ("hup.models.counted.stan", "STAN"),
    "stan+item-knn+recency": ("hup.models.counted.blend", "STANItemKNNRecency"),
    "time-lstm": ("hup.models.trained.time_lstm", "TimeLSTM"),
    "vsknn": ("hup.models.counted.vsknn", "VSKNN"),
    "vsknn+recency": ("hup.models.counted.blend", "VSKNNRecency"),
    "word2vec": ("hup.models.counted.word2vec", "Word2vec"),
    "word2vec-avg": ("hup.models.counted.word2vec", "Word2vecAverage"),
}


def model_class(kind: str) -> type[Recommender]:
    """Class of a kind of model.

    Raises
    ------
    HupError
        If there is no such kind; the message names those there are.
    """
    if kind not in KINDS:
        raise HupError(f"There is no model {kind!r}. Models: {', '.join(sorted(KINDS))}.")
    module, name = KINDS[kind]
    of_kind: type[Recommender] = getattr(importlib.import_module(module), name)
    return of_kind


def load(folder: str | Path) -> Recommender:
    """Open a model folder; the kind of model is written in it.

    Raises
    ------
    HupError
        If it is no complete model folder of this format.
    """
    folder = Path(folder)
    kind = str(read_config(folder).get("model"))
    if kind not in KINDS:
        raise HupError(f"{folder / CONFIG} is of a model {kind!r}, which this version of HUP lacks. Train again.")
    return model_class(kind).from_pretrained(folder)

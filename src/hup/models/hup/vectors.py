"""Vectors that HUP's tables begin with: fitted, put where they belong, and whether they stay apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from hup.config import Config, Embeddings
from hup.data.dataset import Dataset
from hup.models.hup.factorised import factorised_vectors
from hup.models.hup.warm_start import StartingVectors
from hup.models.skipgram import vectors_of_levels
from hup.nn.pyramid import Pyramid
from hup.sessions.levels import ranked_levels
from hup.training.trained import WatchedTable

#: Values of ``embeddings.inputs`` with tables of their own that begin with skip-gram vectors.
_BEGUN = ("skipgram", "item_targets")


def fitted_vectors(dataset: Dataset, config: Config, start: StartingVectors) -> dict[str, Tensor]:
    """Fit vectors ``(n_known, d)`` of every level, where the configuration asks for them; some may have a start."""
    sizes = config.embeddings
    if sizes.targets == "co_visits":
        return {
            level: factorised_vectors(
                dataset,
                level,
                sizes.category if level.is_category else sizes.item,
                window=config.mixture.window,
                neighbors=config.mixture.neighbors,
                start=start.get(level),
            )
            for level in ranked_levels(dataset.levels)
        }
    if sizes.targets != "skipgram" and sizes.inputs not in _BEGUN:
        return {}
    return vectors_of_levels(
        dataset,
        {level: sizes.category if level.is_category else sizes.item for level in ranked_levels(dataset.levels)},
        window=sizes.skipgram_window,
        epochs=sizes.skipgram_epochs,
        budget=sizes.skipgram_budget,
        seed=config.training.seed,
        start=start,
    )


def put_vectors(pyramid: Pyramid, embeddings: Embeddings, vectors: Mapping[str, Tensor]) -> None:
    """Copy vectors of levels into the tables that are to have them."""
    for level, values in vectors.items():
        targets = pyramid.target_table(level)
        if embeddings.targets != "trainable":
            targets.weight.data.copy_(values)
        if embeddings.inputs in _BEGUN:
            for table in pyramid.input_tables(level):
                if table is not targets:
                    table.weight.data.copy_(values)


def watched_tables(pyramid: Pyramid, embeddings: Embeddings, levels: Sequence[str]) -> dict[str, WatchedTable]:
    """Target tables by level, and the tables that are read as "LEVEL_inputs"."""
    if embeddings.targets == "trainable":
        remedy = "This loss has no negatives; freeze the targets with embeddings.targets=skipgram."
    else:
        remedy = "The training sessions may be too few, or too much alike, to learn vectors from."
    tables = {}
    for level in levels:
        targets = pyramid.target_table(level)
        tables[level] = WatchedTable(targets.vectors(), remedy)
        for number, inputs in enumerate(pyramid.input_tables(level), 1):
            if inputs is not targets:
                suffix = "inputs" if number == 1 else f"inputs_{number}"
                tables[f"{level}_{suffix}"] = WatchedTable(inputs.vectors(), None)
    return tables

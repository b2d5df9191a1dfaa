"""Beginning from an earlier model: its weights, by name where they belong to an item or a category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hup.config import Config
from hup.errors import HupError
from hup.nn.pyramid import Pyramid
from hup.nn.tables import TreeTable
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.levels import Level, ranked_levels

Codes = NDArray[np.int64]
_SIZES = ("item", "behavior", "category", "dwell", "interval")  # keys of embeddings
#: By level, codes ``(m,)`` and the vectors ``(m, d)`` that they begin with.
StartingVectors = Mapping[str, tuple[Codes, NDArray[np.float32]]]


def earlier_codes(vocabulary: Vocabulary, earlier: Vocabulary, level: Level) -> Codes:
    """Find every code of a level in an earlier vocabulary, by name: items by their own, categories by their path.

    Returns
    -------
    ndarray
        ``(n,)`` int64, -1 = the earlier one lacks it.
    """
    if not level.is_category:
        return np.array([earlier.item_codes.get(name, -1) for name in vocabulary.items], dtype=np.int64)
    paths = [path for path in vocabulary.category_codes if len(path) == level.k]
    codes = np.full(vocabulary.size(level), -1, dtype=np.int64)
    codes[[vocabulary.category_codes[path] for path in paths]] = [
        earlier.category_codes.get(path, -1) for path in paths
    ]
    return codes


def refuse_other_network(config: Config, earlier: Config) -> None:
    """Check that both configurations make the same network, but for its vocabulary.

    Raises
    ------
    HupError
        If they do not; it names the key.
    """
    here, there = (_of_network(one) for one in (config, earlier))
    for key, value in here.items():
        if there[key] != value:
            raise HupError(
                f"The model to begin from has {key} = {there[key]!r}, not {value!r}: its weights do not fit. "
                f"Set it so, or train without it."
            )


def _of_network(config: Config) -> dict[str, Any]:
    embeddings = config.embeddings.model_dump(include={*_SIZES, "inputs", "targets"})
    sections = {"network": config.network.model_dump(), "embeddings": embeddings}
    if config.output == "mixture":
        sections["mixture"] = config.mixture.model_dump(include={"profile", "hidden", "earlier"})
    keys = {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}
    return {"output": config.output, **keys}


def refuse_other_shop(vocabulary: Vocabulary, earlier: Vocabulary) -> None:
    """Check that behaviors and category levels are the same, as parts of the network are made for each of them.

    Raises
    ------
    HupError
        If they are not, or no item is.
    """
    here, there = ([behavior.name for behavior in one.behaviors] for one in (vocabulary, earlier))
    if here != there:
        raise HupError(
            f"The model to begin from knows the behaviors {', '.join(there)}; the dataset has {', '.join(here)}. "
            f"Train without it."
        )
    if vocabulary.levels != earlier.levels:
        raise HupError(
            f"The model to begin from has {earlier.levels} category levels, the dataset {vocabulary.levels}. Train "
            f"without it."
        )
    if not vocabulary.item_codes.keys() & earlier.item_codes.keys():
        raise HupError("The model to begin from knows no item of the dataset: it is of another shop.")


def starting_vectors(
    vocabulary: Vocabulary, earlier: Vocabulary, pyramid: Pyramid, *, of_targets: bool
) -> StartingVectors:
    """Give the vectors of an earlier pyramid from which fitting goes on, for the codes that it has.

    Parameters
    ----------
    vocabulary, earlier : Vocabulary
    pyramid : Pyramid
        Of the earlier model.
    of_targets : bool
        Whether its targets began as fitted vectors; else those that are read did.

    Raises
    ------
    HupError
        If the earlier model is of another shop.
    """
    refuse_other_shop(vocabulary, earlier)
    start: dict[str, tuple[Codes, NDArray[np.float32]]] = {}
    for level in ranked_levels(vocabulary.levels):
        table = pyramid.target_table(level) if of_targets else pyramid.input_tables(level)[0]
        codes = earlier_codes(vocabulary, earlier, level)
        known = np.flatnonzero(codes >= 0)
        start[level] = (known, table.weight.detach().numpy()[codes[known]])
    return start


def table_rows(vocabulary: Vocabulary, earlier: Vocabulary, pyramid: Pyramid) -> dict[int, Codes]:
    """Tell for every table of a pyramid, by ``id`` of its parameter, which row of the earlier one each row was.

    Raises
    ------
    HupError
        If the earlier model is of another shop.
    """
    refuse_other_shop(vocabulary, earlier)
    rows = {}
    by_level = {level: earlier_codes(vocabulary, earlier, level) for level in ranked_levels(vocabulary.levels)}
    for level, codes in by_level.items():
        for table in (pyramid.target_table(level), *pyramid.input_tables(level)):
            rows[id(table.weight)] = codes
            if isinstance(table, TreeTable):
                finer = range(len(table.families))
                rows |= {id(table.families[a]): by_level[Level.category(a + 1)] for a in finer}
    return rows


def begin_from(network: nn.Module, earlier: nn.Module, rows: Mapping[int, Codes]) -> None:
    """Copy what an earlier network has learned; what is not learned (frozen vectors, counts) stays as it is.

    Parameters
    ----------
    network, earlier : nn.Module
        Of the same configuration.
    rows : mapping of int to ndarray
        From :func:`table_rows`; rows that the earlier network lacks stay.

    Raises
    ------
    HupError
        If the networks have other parameters, or other sizes of them.
    """
    before = dict(earlier.named_parameters())
    now = dict(network.named_parameters())
    if odd := sorted(before.keys() ^ now.keys()):
        raise HupError(f"The model to begin from has another configuration: {odd[0]} is in one of the two alone.")
    with torch.no_grad():
        for name, parameter in now.items():
            codes, learned = rows.get(id(parameter)), before[name]
            if parameter.shape[codes is not None :] != learned.shape[codes is not None :]:
                raise HupError(
                    f"The model to begin from has another configuration: {name} is {list(learned.shape)} there, "
                    f"{list(parameter.shape)} here."
                )
            if codes is None:
                parameter.copy_(learned)
            elif parameter.requires_grad:
                known = torch.from_numpy(codes >= 0)
                parameter[known] = learned[torch.from_numpy(codes)[known]]

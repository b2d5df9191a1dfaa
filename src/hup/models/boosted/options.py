"""Options of LightGBM."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from hup.config import Section


class LightGBMConfig(Section):
    """Options of LightGBM."""

    # What is counted.
    window: PositiveInt = Field(5, description="greatest distance of neighbours, in item runs")
    neighbors: PositiveInt = Field(300, description="most neighbours that are kept of an item or category")
    vector_size: PositiveInt = Field(32, description="of the skip-gram vectors of items")
    vector_epochs: PositiveInt = 10
    vector_budget: PositiveInt = Field(
        50_000_000, description="most runs that skip-gram reads in all its epochs: a large log gets fewer epochs"
    )
    # What is ranked.
    visits: PositiveInt = Field(128, description="how many item runs back a visit may lie to be looked at")
    earlier: NonNegativeInt = Field(
        128, description="item runs of the user's earlier sessions that may be visits, too, as for the mixture"
    )
    latest: PositiveInt = Field(20, description="visits whose neighbours are looked at, the latest ones")
    candidates: PositiveInt = Field(100, description="most candidates of a query, at most half of them visits")
    popular: NonNegativeInt = Field(
        20, description="the most popular codes among them, and as many of the category that the user is on"
    )
    # What is learned from.
    folds: int = Field(
        7, ge=2, description="parts of training; a session is described by what was counted in the other parts"
    )
    prefixes: PositiveInt = Field(10, description="most queries of a session: its end, and item runs before it")
    prefix_share: float = Field(
        0.5, ge=0, le=1, description="share of the weight that all queries have; the ends of sessions have the rest"
    )
    queries: PositiveInt = Field(
        20_000, description="most queries to learn from, those of the newest sessions; each takes some 40 kB of memory"
    )
    # Trees.
    objective: Literal["lambdarank", "rank_xendcg"] = "lambdarank"
    trees: PositiveInt = Field(1000, description="most trees of a level")
    patience: NonNegativeInt = Field(50, description="stop after so many trees without a better NDCG; 0 = never")
    enough_sessions: PositiveInt = Field(
        1000,
        description="validation sessions that decide how many trees there are; of fewer the late part of training "
        "decides, too",
    )
    learning_rate: PositiveFloat = 0.05
    num_leaves: int = Field(31, ge=2)
    min_data_in_leaf: PositiveInt = 100
    feature_fraction: float = Field(0.8, gt=0, le=1, description="share of the features that a tree looks at")
    lambda_l2: NonNegativeFloat = 1.0
    extra_trees: bool = Field(True, description="try one random threshold of a feature instead of all")
    seed: int = Field(0, ge=0, le=2**31 - 1)

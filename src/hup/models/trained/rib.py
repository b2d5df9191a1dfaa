"""RIB: micro-behaviors through a GRU and attention (Zhou, Ding and Yin 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from hup.config import Section, TrainedConfig, Training
from hup.data.dataset import Dataset
from hup.models.skipgram import vectors_of_levels
from hup.nn.devices import placed
from hup.nn.losses import cosine_proximity
from hup.nn.ragged import run_gru, segment_softmax, segment_sum
from hup.nn.tables import VectorTable
from hup.recommender.attention import AttentionColumn
from hup.recommender.candidates import Scores
from hup.recommender.known_scores import products
from hup.recommender.similar import Likeness, cosines
from hup.sessions.batches import Histories, Targets
from hup.sessions.levels import Buckets, Level, number_of_bucket, ranked_levels, whole_milliseconds
from hup.training.trained import LevelLoss, TrainedRecommender, WatchedTable


class RIBEmbeddings(Section):
    """Sizes of the embedding tables, as HUP's (§5.4), and the skip-gram vectors."""

    item: PositiveInt = 30
    behavior: PositiveInt = 5
    category: PositiveInt = 8
    dwell: PositiveInt = 5
    skipgram_window: PositiveInt = 5
    skipgram_epochs: PositiveInt = 50
    skipgram_budget: PositiveInt = 50_000_000


class RIBNetwork(Section):
    """The network of RIB."""

    hidden: PositiveInt = 100
    attention_hidden: PositiveInt = Field(20, description="hidden units of the attention network")


class RIBConfig(TrainedConfig):
    """Options of RIB."""

    embeddings: RIBEmbeddings = RIBEmbeddings()
    network: RIBNetwork = RIBNetwork()
    training: Training = Training(learning_rate=0.003)


class RIBLevel(nn.Module):
    """The network of one task: embeddings of every event, a GRU, attention over all its outputs, a dense layer.

    Parameters
    ----------
    level : str
        Whose codes are predicted. The item task reads item and categories, a category task the category alone.
    tables : dict of str to VectorTable
        Read tables, by level.
    target : VectorTable
        Frozen vectors to come close to.
    n_behaviors, n_dwells : int
    config : RIBConfig
    """

    def __init__(
        self,
        level: str,
        tables: dict[str, VectorTable],
        target: VectorTable,
        n_behaviors: int,
        n_dwells: int,
        config: RIBConfig,
    ) -> None:
        super().__init__()
        sizes, hidden = config.embeddings, config.network.hidden
        self.level, self.target = level, target
        self.tables = nn.ModuleDict(tables)
        self.behavior = VectorTable(torch.zeros(n_behaviors, 0, dtype=torch.long), sizes.behavior)
        self.dwell = nn.Embedding(n_dwells, sizes.dwell)
        nn.init.uniform_(self.dwell.weight, -0.05, 0.05)
        width = sum(table.weight.shape[1] for table in tables.values()) + sizes.behavior + sizes.dwell
        self.gru = nn.GRU(width, hidden)
        self.attention = nn.Sequential(
            nn.Linear(hidden, config.network.attention_hidden),
            nn.Tanh(),
            nn.Linear(config.network.attention_hidden, 1, bias=False),
        )
        self.head = nn.Linear(hidden, target.weight.shape[1])

    def forward(self, histories: Histories, buckets: Buckets) -> tuple[Tensor, Tensor]:
        """Predict a vector for every history.

        Returns
        -------
        vector : Tensor
            ``(B, d)``.
        weights : Tensor
            ``(N,)``, attention on every event; those of a history sum to 1.
        """
        dwell = number_of_bucket(whole_milliseconds(histories.dwell), buckets.dwell)
        histories = histories.to(self.head.weight.device)
        parts = []
        for name, table in self.tables.items():
            assert isinstance(table, VectorTable)
            parts.append(table(histories.codes(name), histories.categories[:, : len(table.n_ancestors)]))
        parts.append(self.behavior(histories.behavior, histories.behavior.unsqueeze(-1)[..., :0]))
        parts.append(self.dwell(placed(dwell, self.head.weight)))
        y = run_gru(self.gru, torch.cat(parts, dim=1), histories.offsets.diff())
        session = histories.session()
        weights = segment_softmax(self.attention(y).squeeze(1), session, len(histories))
        context = segment_sum(weights.unsqueeze(1) * y, session, len(histories))
        return self.head(context), weights


class RIB(TrainedRecommender):
    """An independent network a task, taught the session's target by cosine, as HUP is.

    The paper's authors published a version whose attention mixes positions and which reads the interval where it says
    dwell; this one reads the dwell and attends over every event.
    """

    kind: ClassVar[str] = "rib"
    options: ClassVar[type[Section]] = RIBConfig
    config: RIBConfig
    levels_independent: ClassVar[bool] = True
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("embeddings.skipgram_epochs=150",),
        ("embeddings.skipgram_window=10",),
        ("training.batch_size=32",),
        ("training.learning_rate=0.001",),
        ("training.learning_rate=0.01",),
    )

    def build(self) -> nn.ModuleDict:
        """Make a network for every task."""
        vocabulary, sizes = self.vocabulary, self.config.embeddings

        def table(level: Level, *, trainable: bool) -> VectorTable:
            if level.is_category:
                return VectorTable(vocabulary.ancestors(level.k), sizes.category, trainable=trainable)
            return VectorTable(torch.from_numpy(vocabulary.paths), sizes.item, trainable=trainable)

        return nn.ModuleDict(
            {
                level: RIBLevel(
                    level,
                    {name: table(name, trainable=True) for name in ((level,) if level.is_category else self.levels)},
                    table(level, trainable=False),
                    len(vocabulary.behaviors),
                    len(self.buckets.dwell) + 2,
                    self.config,
                )
                for level in self.levels
            }
        )

    def _level(self, level: str) -> RIBLevel:
        network = self.network
        assert isinstance(network, nn.ModuleDict)
        of_level = network[level]
        assert isinstance(of_level, RIBLevel)
        return of_level

    def first_vectors(self, dataset: Dataset) -> dict[str, Tensor]:
        """Fit the vectors of every level."""
        sizes = self.config.embeddings
        return vectors_of_levels(
            dataset,
            {level: sizes.category if level.is_category else sizes.item for level in ranked_levels(dataset.levels)},
            window=sizes.skipgram_window,
            epochs=sizes.skipgram_epochs,
            budget=sizes.skipgram_budget,
            seed=self.config.training.seed,
        )

    def take_vectors(self, vectors: Mapping[str, Tensor]) -> None:
        """Begin all tables with the skip-gram vectors; the target tables stay so."""
        for level in self.levels:
            network = self._level(level)
            network.target.weight.data.copy_(vectors[level])
            for name, table in network.tables.items():
                assert isinstance(table, VectorTable)
                table.weight.data.copy_(vectors[name])

    def losses(self, histories: Histories, targets: Targets) -> dict[str, LevelLoss]:
        """Negative cosine between prediction and target, over the targets with a category."""
        losses: dict[str, LevelLoss] = {}
        targets = targets.to(self.device)
        for level in self.levels:
            network = self._level(level)
            vector, _ = network(histories, self.buckets)
            ancestors = targets.categories[:, : len(network.target.n_ancestors)]
            wanted = targets.wanted(level, self.vocabulary.no_category)
            loss = cosine_proximity(vector, network.target(targets.codes(level), ancestors), wanted)
            losses[level] = LevelLoss.of(loss, int(wanted.sum()))
        return losses

    def watched(self) -> dict[str, WatchedTable]:
        """Target tables, which are frozen."""
        remedy = "The training sessions may be too few, or too much alike, to learn vectors from."
        return {level: WatchedTable(self._level(level).target.weight, remedy) for level in self.levels}

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by cosine; unknown codes take the mean vector of their known siblings."""
        self._check_level(level)
        network = self._level(level)
        table = network.target
        own = histories.own_unknown(level, table.n_known)
        with torch.no_grad():
            vector = functional.normalize(network(histories, self.buckets)[0], dim=1)
            known = products(vector, table.unit_vectors())
            ancestors = histories.categories[own.events][..., : len(table.n_ancestors)].to(self.device)
            own_vectors = table(own.codes.to(self.device), ancestors)
            own_scores = functional.normalize(own_vectors, dim=-1) @ vector.unsqueeze(-1)
        return Scores(known, own_scores.squeeze(-1).cpu(), own.codes)

    def likeness(self, level: Level, code: int) -> Likeness:
        """Compare the target vectors of a level."""
        return cosines(self._level(level).target.weight, code)

    def item_vectors(self) -> Tensor:
        """Give the items' target vectors, ``(n_known, d)``."""
        return self._level("item").target.weight.detach()

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Attention of the item task over the events of one history."""
        with torch.no_grad():
            _, weights = self._level("item")(histories, self.buckets)
        events = torch.arange(histories.item.numel())
        return (AttentionColumn("micro", weights, events, events, True),)

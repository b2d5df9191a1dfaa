"""The network of a mixture: the pyramid, a mixture for each level, and what was counted in training for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hup.config import Config
from hup.models.hup.mixture.answer import Answer, Counts
from hup.models.hup.mixture.co_visits import CoVisits
from hup.models.hup.mixture.earlier import with_earlier
from hup.models.hup.mixture.own_counts import OwnCoVisits
from hup.models.hup.mixture.reranking import HIDDEN, n_signals
from hup.models.hup.mixture.similar import SimilarProfiles
from hup.models.hup.mixture.visit_signals import visit_sizes
from hup.models.hup.mixture.visits import RunTable, Visits, last_runs, visits_of
from hup.nn.devices import placed
from hup.nn.mixture import Look, Mixture
from hup.nn.pyramid import Pyramid
from hup.nn.reranker import Reranker
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level, ranked_levels


class Weights(NamedTuple):
    """How much the profile weighs at a level, and the finer levels; chosen on the validation split, not by descent.

    Attributes
    ----------
    dense, similar, strength : float
        Of :class:`hup.nn.pooling.Pool`.
    reranking : float
        How far the likeliest items are ranked anew, 0 to 1.
    trust : float
        Of :func:`hup.models.hup.mixture.agreement.agreed`.
    """

    dense: float
    similar: float
    strength: float
    reranking: float
    trust: float


#: Before a validation split has said how much.
START_WEIGHTS = Weights(0.1, 0.0, 0.1, 0.0, 0.5)


class MixtureNetwork(nn.Module):
    """The pyramid, and for each level that is recommended a mixture of what was counted, pooled with the profile.

    Parameters
    ----------
    pyramid : Pyramid
    vocabulary : Vocabulary
    config : Config
    co_visits : mapping of Level to CoVisits
    following : Tensor or None
        As for :class:`~hup.models.hup.mixture.similar.SimilarProfiles`; None = no profiles are kept.
    earlier : int
        Item runs of the user's earlier sessions that are looked at.

    Attributes
    ----------
    ranked : tuple of Level
        Item, category_K … category_1.
    has_profile : bool
        Whether the pyramid takes part.
    weights : Parameter
        ``(len(ranked), 5)``, a row of :class:`Weights` for every level.
    ordered : tuple of Level
        Levels with a learned order of what is likeliest: item and category_K, or none.
    similar : SimilarProfiles or None
        Profiles of training sessions, with the items that followed them.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        vocabulary: Vocabulary,
        config: Config,
        co_visits: Mapping[Level, CoVisits],
        following: Tensor | None,
        earlier: int,
    ) -> None:
        super().__init__()
        self.pyramid, self.co_visits = pyramid, dict(co_visits)
        self.ranked = ranked_levels(vocabulary.levels)
        self.n_behaviors = len(vocabulary.behaviors)
        options = config.mixture
        self.most_visits, self.has_profile = options.visits, options.profile
        self.n_reranked = options.reranked
        self.most_earlier, self.n_items = earlier, vocabulary.size(ITEM)
        sizes = visit_sizes(self.n_behaviors, vocabulary.levels, earlier=earlier > 0)
        self.mixtures = nn.ModuleDict(
            {
                level: Mixture(
                    torch.from_numpy(vocabulary.counts[level].astype(np.float32)),
                    *sizes,
                    hidden=options.hidden,
                    repeat=options.repeat,
                    memory=options.memory,
                )
                for level in self.ranked
            }
        )
        self.weights = nn.Parameter(torch.tensor([START_WEIGHTS] * len(self.ranked)), requires_grad=False)
        self.ordered = self.ranked[:2] if options.reranked else ()
        self.rerankers = nn.ModuleDict(
            {
                level: Reranker(n_signals(*sizes, level.k or vocabulary.levels, profile=options.profile), HIDDEN)
                for level in self.ordered
            }
        )
        self.similar = None if following is None else SimilarProfiles(following, config.embeddings.item)

    def weights_of(self, level: Level) -> Weights:
        """Give the weights of a level."""
        return self.all_weights()[level]

    def weigh(self, level: Level, **changed: float) -> None:
        """Change some :class:`Weights` of a level."""
        row = self.weights_of(level)._replace(**changed)
        self.weights.data[self.ranked.index(level)] = torch.tensor(row)

    def all_weights(self) -> dict[Level, Weights]:
        """Give the weights of every level."""
        return {level: Weights(*row) for level, row in zip(self.ranked, self.weights.tolist(), strict=True)}

    def mixture(self, level: str) -> Mixture:
        """Give the mixture of a level."""
        mixture = self.mixtures[level]
        assert isinstance(mixture, Mixture)
        return mixture

    def reranker(self, level: Level) -> Reranker:
        """Give the learned order of an ordered level."""
        reranker = self.rerankers[level]
        assert isinstance(reranker, Reranker)
        return reranker

    def follows(self, level: Level) -> float:
        """Tell how far the learned order of a level is followed, 0 to 1; 0 where there is none."""
        return self.weights_of(level).reranking if level in self.ordered else 0.0

    def leave_orders(self) -> None:
        """Follow no learned order, until one is taught."""
        for level in self.ordered:
            self.weigh(level, reranking=0.0)

    def paths(self, level: Level) -> Tensor:
        """Give the categories of every known code of a level, coarsest first; a category is the last one of its own."""
        ancestors = self.pyramid.target_table(level).ancestors
        own = torch.arange(len(ancestors), device=ancestors.device).unsqueeze(1)
        return torch.cat([ancestors, own], dim=1) if level.is_category else ancestors

    def parents(self) -> dict[Level, Tensor]:
        """Give the parent of every known code, ``(n,)`` int64, for all levels but the coarsest."""
        return {level: self.pyramid.target_table(level).ancestors[:, -1] for level in self.ranked[:-1]}

    def answers(
        self,
        table: RunTable,
        queries: NDArray[np.int64] | None = None,
        counts: Mapping[Level, Counts] | None = None,
    ) -> dict[Level, Answer]:
        """Mix for some runs of a table, default the end of every session, by level.

        ``counts`` are others than those of all training sessions.
        """
        at = last_runs(table) if queries is None else queries
        counts = counts or {}
        return {
            level: self.answer(level, table, self.visits(table, level, at), counts=counts.get(level))
            for level in self.ranked
        }

    def with_earlier(self, table: RunTable, histories: Histories) -> RunTable:
        """Put what the users did in earlier sessions before a table of histories; see :func:`with_earlier`."""
        return with_earlier(table, histories, most=self.most_earlier, n_known=self.n_items)

    def visits(self, table: RunTable, level: Level, queries: NDArray[np.int64] | None = None) -> Visits:
        """List the visits of a level; see :func:`visits_of`."""
        return visits_of(table, level, queries, most=self.most_visits)

    def counts(self, level: Level) -> Counts:
        """Give what was counted of a level."""
        return Counts(self.co_visits[level], self.mixture(level).counts)

    def answer(
        self,
        level: Level,
        table: RunTable,
        visits: Visits,
        own: OwnCoVisits | None = None,
        counts: Counts | None = None,
    ) -> Answer:
        """Mix for the queries of one level.

        Parameters
        ----------
        level : Level
        table : RunTable
        visits : Visits
            Of the table, at the level.
        own : OwnCoVisits, optional
            What the asking sessions have put into the counts themselves.
        counts : Counts, optional
            Other ones than those of all training sessions.
        """
        counts = counts or self.counts(level)
        counted = counts.co_visits
        known = (visits.code >= 0) & (visits.code < counted.size)
        support = np.where(known[:, None], counted.totals[np.where(known, visits.code, 0)], 0)
        if own is not None:
            support = support - own.of_totals(table.session[visits.run], visits.code)
        support = np.where(support < 1e-5, 0, support)
        look = Look(
            query=placed(visits.query, self.weights),
            signals=placed(visits.signals, self.weights),
            context=placed(visits.context, self.weights),
            may_repeat=placed(level.is_category | ~visits.is_current, self.weights),
            support=placed(support.astype(np.float32), self.weights),
        )
        mixed = self.mixture(level)(look)
        return Answer(counts, visits, mixed, support, table.parents(level)[visits.run], table.categories[visits.run])

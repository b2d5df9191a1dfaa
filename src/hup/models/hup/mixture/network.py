"""The network of a mixture: the pyramid, a mixture for each level, and what was counted in training for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hup.config import Config
from hup.models.hup.mixture.co_visits import CoVisits
from hup.models.hup.mixture.own_counts import OwnCoVisits
from hup.models.hup.mixture.visits import RunTable, Visits, last_runs, visit_sizes, visits_of
from hup.nn.mixture import Look, Mixed, Mixture
from hup.nn.pyramid import Closed, Opened, Pyramid
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.levels import ITEM, Level, ranked_levels


@dataclass(frozen=True)
class Answer:
    """What a level says of every query, with what it is made of.

    Attributes
    ----------
    visits : Visits
    mixed : Mixed
    support : ndarray
        ``(P, 3)``, how much is known of the neighbours of every visit's code, by relation.
    parent : ndarray
        ``(P,)`` int64, code of the next coarser level that every visit's code belongs to; -1 = none.
    """

    visits: Visits
    mixed: Mixed
    support: NDArray[np.float64]
    parent: NDArray[np.int64]

    def shares(self) -> list[float]:
        """Weigh the visits of a single query by what they bring to repeat and memory; they sum to 1."""
        repeat, memory = self.mixed.weights[0, :2]
        weights = repeat * self.mixed.repeat + memory * self.mixed.memory.sum(dim=1)
        total = float(weights.sum())
        # A session of one run that training never saw has nothing to repeat or to remember.
        shares: list[float] = (weights / total if total > 0 else torch.full_like(weights, 1 / len(weights))).tolist()
        return shares


class MixtureNetwork(nn.Module):
    """The pyramid, and a mixture for each level that is recommended.

    Parameters
    ----------
    pyramid : Pyramid
    vocabulary : Vocabulary
    config : Config
    co_visits : mapping of Level to CoVisits

    Attributes
    ----------
    ranked : tuple of Level
        Item, category_K … category_1.
    classes : Tensor
        ``(n_items,)`` int64, finest category of every known item.
    members : list of Tensor
        Items of each finest category, ascending.
    """

    def __init__(
        self, pyramid: Pyramid, vocabulary: Vocabulary, config: Config, co_visits: Mapping[Level, CoVisits]
    ) -> None:
        super().__init__()
        self.pyramid, self.co_visits = pyramid, dict(co_visits)
        self.ranked = ranked_levels(vocabulary.levels)
        self.n_behaviors = len(vocabulary.behaviors)
        options = config.mixture
        n_signals, n_context = visit_sizes(self.n_behaviors, vocabulary.levels)
        self.mixtures = nn.ModuleDict(
            {
                level: Mixture(
                    torch.from_numpy(vocabulary.counts[level].astype(np.float32)),
                    pyramid.hidden_size if options.profile else 0,
                    n_signals,
                    n_context,
                    pyramid.target_table(level).weight.shape[1],
                    hidden=options.hidden,
                    dropout=options.dropout,
                    repeat=options.repeat,
                    memory=options.memory,
                )
                for level in self.ranked
            }
        )
        self.classes = torch.from_numpy(vocabulary.paths[:, -1].astype(np.int64))
        order = torch.argsort(self.classes, stable=True)
        bounds = torch.searchsorted(self.classes[order], torch.arange(vocabulary.size(self.ranked[1]) + 1)).tolist()
        self.members = [order[low:high] for low, high in pairwise(bounds)]

    def mixture(self, level: str) -> Mixture:
        """Give the mixture of a level."""
        mixture = self.mixtures[level]
        assert isinstance(mixture, Mixture)
        return mixture

    def vectors(self, level: str) -> Tensor:
        """Vectors ``(n, d)`` that explore compares a level's preference with."""
        return self.pyramid.target_table(level).weight

    def parameter_groups(self, profile_rate: float) -> list[tuple[float, list[nn.Parameter]]]:
        """Group what is trained, with factors on the learning rate: the rules, and the profile with what reads it."""
        readers = [one for level in self.mixtures for one in self.mixture(level).profile_parameters()]
        slow = [one for one in (*self.pyramid.parameters(), *readers) if one.requires_grad]
        known = {id(one) for one in slow}
        fast = [one for one in self.parameters() if one.requires_grad and id(one) not in known]
        return [(1.0, fast), (profile_rate, slow)]

    def answers(self, table: RunTable, closed: Sequence[Closed], opened: Sequence[Opened]) -> dict[Level, Answer]:
        """Mix for the end of every session of a table, by level, from what the pyramid made of them."""
        return {
            level: self.answer(level, table, visits_of(table, level, last_runs(table)), closed, opened)
            for level in self.ranked
        }

    def answer(
        self,
        level: Level,
        table: RunTable,
        visits: Visits,
        closed: Sequence[Closed],
        opened: Sequence[Opened],
        own: OwnCoVisits | None = None,
    ) -> Answer:
        """Mix for the queries of one level.

        Parameters
        ----------
        level : Level
        table : RunTable
        visits : Visits
            Of the table, at the level.
        closed, opened : sequence
            What the pyramid made of the sessions, of every level.
        own : OwnCoVisits, optional
            What the asking sessions have put into the counts themselves.
        """
        names = self.pyramid.level_names
        ended, runs = closed[names.index(ITEM)].hidden, opened[names.index(ITEM)].outputs
        session = table.session
        # Ended runs are in the order of the table, which has one open run more for every session before.
        step = np.where(visits.is_open, len(ended) + visits.query, visits.run - session[visits.run])
        counted = self.co_visits[level]
        known = (visits.code >= 0) & (visits.code < counted.size)
        support = np.where(known[:, None], counted.totals[np.where(known, visits.code, 0)], 0)
        if own is not None:
            support = support - own.of_totals(session[visits.run], visits.code)
        support = np.where(support < 1e-5, 0, support)
        look = Look(
            query=torch.from_numpy(visits.query),
            step=torch.from_numpy(step),
            outputs=torch.cat([ended, runs]),
            last=opened[names.index(level)].last,
            signals=torch.from_numpy(visits.signals),
            context=torch.from_numpy(visits.context),
            may_repeat=torch.from_numpy(level.is_category | ~visits.is_current),
            support=torch.from_numpy(support.astype(np.float32)),
        )
        return Answer(visits, self.mixture(level)(look), support, table.parents(level)[visits.run])

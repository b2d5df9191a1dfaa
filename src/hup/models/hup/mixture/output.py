"""The mixture over what comes next (repeat, neighbours, explore), asked of batches, of live states, and in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.mixture.co_visits import RELATIONS, CoVisits, OwnCounts, count_co_visits
from hup.models.hup.mixture.coherence import Distribution, shared_out, without_current
from hup.models.hup.mixture.visits import RunTable, Visits, last_runs, run_table, visit_sizes, visits_of
from hup.nn.mixture import Look, Mixed, Mixture, class_log_softmax
from hup.nn.pyramid import Closed, Opened, Pyramid
from hup.recommender.attention import AttentionColumn
from hup.recommender.base import Scores
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories
from hup.sessions.levels import ranked_levels
from hup.sessions.runs import Runs, training_runs
from hup.sessions.steps import Buckets, pyramid_steps

COUNTED = "co_visits."  # names of the counts among a model's tensors begin so
_LEAST = 1e-12  # probability of what no part of the mixture knows


class MixtureNetwork(nn.Module):
    """The pyramid, and a mixture for each level that is recommended.

    Parameters
    ----------
    pyramid : Pyramid
    mixtures : dict of str to Mixture
        By level.
    """

    def __init__(self, pyramid: Pyramid, mixtures: dict[str, Mixture]) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.mixtures = nn.ModuleDict(mixtures)

    def mixture(self, level: str) -> Mixture:
        """Give the mixture of a level."""
        found = self.mixtures[level]
        assert isinstance(found, Mixture)
        return found

    def parameter_groups(self, profile_rate: float) -> list[tuple[float, list[nn.Parameter]]]:
        """Group what is trained, with factors on the learning rate: the rules, and the profile with what reads it."""
        readers = [one for level in self.mixtures for one in self.mixture(level).profile_parameters()]
        slow = [one for one in (*self.pyramid.parameters(), *readers) if one.requires_grad]
        known = {id(one) for one in slow}
        fast = [one for one in self.parameters() if one.requires_grad and id(one) not in known]
        return [(1.0, fast), (profile_rate, slow)]


@dataclass(frozen=True)
class Answer:
    """What a level says of every query, with what it is made of; ``parent`` ``(P,)`` is of every visit's code."""

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
        found: list[float] = (weights / total if total > 0 else torch.full_like(weights, 1 / len(weights))).tolist()
        return found


class MixtureOutput:
    """Losses and scores of a network over a vocabulary.

    Parameters
    ----------
    vocabulary : Vocabulary
    config : Config
    co_visits : dict of str to CoVisits
        By level.
    """

    def __init__(self, vocabulary: Vocabulary, config: Config, co_visits: dict[str, CoVisits]) -> None:
        self.vocabulary, self.config, self.co_visits = vocabulary, config, co_visits
        self.levels = ranked_levels(vocabulary.levels)
        self.classes = torch.from_numpy(vocabulary.paths[:, -1].astype(np.int64))
        self.n_classes = vocabulary.size(self.levels[1])
        order = torch.argsort(self.classes, stable=True)
        bounds = torch.searchsorted(self.classes[order], torch.arange(self.n_classes + 1)).tolist()
        self.members = [order[low:high] for low, high in pairwise(bounds)]  # items of each finest category, ascending

    @classmethod
    def counted(cls, vocabulary: Vocabulary, config: Config, dataset: Dataset) -> MixtureOutput:
        """Count the neighbours of every code in the training split."""
        options = config.mixture
        co_visits = {}
        codes, offsets = training_runs(dataset, "item")
        for level in ranked_levels(vocabulary.levels):
            column = None if level == "item" else int(level.removeprefix("category_")) - 1
            co_visits[level] = count_co_visits(
                codes if column is None else dataset.taxonomy.paths[codes, column].astype(np.int64),
                offsets,
                vocabulary.size(level),
                window=options.window,
                neighbors=options.neighbors,
                with_itself=level != "item",
            )
        return cls(vocabulary, config, co_visits)

    def network(self, pyramid: Pyramid) -> MixtureNetwork:
        """Put a mixture on every level of a pyramid."""
        options, vocabulary = self.config.mixture, self.vocabulary
        n_signals, n_context = visit_sizes(len(vocabulary.behaviors), vocabulary.levels)
        mixtures = {}
        for level in self.levels:
            mixtures[level] = Mixture(
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
        return MixtureNetwork(pyramid, mixtures)

    def tensors(self) -> dict[str, Tensor]:
        """Give the counts of the neighbours, by name."""
        return {
            f"{COUNTED}{level}.{name}": tensor
            for level, counted in self.co_visits.items()
            for name, tensor in counted.tensors().items()
        }

    @classmethod
    def restored(cls, vocabulary: Vocabulary, config: Config, tensors: Mapping[str, Tensor]) -> MixtureOutput:
        """Take up what :meth:`tensors` gave.

        Raises
        ------
        KeyError
            A tensor is not there.
        """
        co_visits = {}
        for level in ranked_levels(vocabulary.levels):
            prefix = f"{COUNTED}{level}."
            own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            co_visits[level] = CoVisits.restored(own, config.mixture.window, with_itself=level != "item")
        return cls(vocabulary, config, co_visits)

    def answers(self, network: MixtureNetwork, histories: Histories, buckets: Buckets) -> dict[str, Answer]:
        """Mix for the end of every history, by level."""
        table = run_table(histories, len(self.vocabulary.behaviors))
        steps = pyramid_steps(histories, buckets)
        closed = network.pyramid.fold(histories, steps)
        opened = network.pyramid.run_open(histories, steps, closed)
        return self.answers_of(network, table, closed, opened)

    def answers_of(
        self, network: MixtureNetwork, table: RunTable, closed: Sequence[Closed], opened: Sequence[Opened]
    ) -> dict[str, Answer]:
        """Mix for the end of every session of a table, by level, from what the pyramid made of them."""
        return {
            level: self.answer(network, level, table, visits_of(table, level, last_runs(table)), closed, opened, None)
            for level in self.levels
        }

    def scores(
        self, network: MixtureNetwork, answers: Mapping[str, Answer], level: str, current: Tensor
    ) -> Distribution:
        """Probabilities of a level; those of categories agree with the levels above.

        Parameters
        ----------
        network : MixtureNetwork
        answers : mapping of str to Answer
        level : str
        current : Tensor
            ``(B,)`` items that the users are on.
        """
        return self.settled(network, answers, level, current, self.own_scores(network, answers, level, current))

    def settled(
        self,
        network: MixtureNetwork,
        answers: Mapping[str, Answer],
        level: str,
        current: Tensor,
        found: Distribution,
    ) -> Distribution:
        """Make what the mixture of a level says by itself agree with the rest; see :meth:`scores`."""
        if level == "item":
            return without_current(found, current)
        k = int(level.removeprefix("category_"))
        if k < 2:
            return found
        above = self.scores(network, answers, f"category_{k - 1}", current)
        return shared_out(found, self.vocabulary.ancestors(k)[:, -1], above)

    def own_scores(
        self, network: MixtureNetwork, answers: Mapping[str, Answer], level: str, current: Tensor
    ) -> Distribution:
        """Probabilities as the mixture of a level says them by itself; see :meth:`scores`."""
        answer, counted = answers[level], self.co_visits[level]
        visits, mixed, n_queries = answer.visits, answer.mixed, len(current)
        mixture, vectors = network.mixture(level), network.pyramid.target_table(level).weight
        logits = mixture.logits(mixed.preference, vectors)
        if level == "item":
            known_current = (current < counted.size).nonzero().squeeze(1)
            logits[known_current, current[known_current]] = -torch.inf
            above = self.own_scores(network, answers, self.levels[1], current).known
            explore = torch.exp(class_log_softmax(logits, self.classes, self.n_classes))
            explore = explore * above.index_select(1, self.classes)
        else:
            explore = torch.softmax(logits, dim=1)
        known = explore * mixed.weights[:, 2:3]
        known = known + mixed.weights[:, 1:2] * self._remembered(answer, counted, n_queries)
        repeated = mixed.repeat * mixed.weights[:, 0].index_select(0, torch.from_numpy(visits.query))
        inside = torch.from_numpy((visits.code >= 0) & (visits.code < counted.size))
        query, code = torch.from_numpy(visits.query), torch.from_numpy(visits.code)
        known = known.index_put((query[inside], code[inside]), repeated[inside], accumulate=True)
        outside = ~inside & (code >= 0)
        parent = torch.from_numpy(answer.parent)[outside]
        return Distribution(known, query[outside], code[outside], repeated[outside], parent)

    def contributions(self, answer: Answer, codes: Sequence[int], level: str) -> tuple[Tensor, Tensor]:
        """Tell what every visit of a single query brings to the probability of some codes.

        Returns
        -------
        repeat, memory : Tensor
            ``(len(codes), P)`` each; what is missing to the probability is explore's.
        """
        visits, mixed, counted = answer.visits, answer.mixed, self.co_visits[level]
        asked = np.asarray(codes, dtype=np.int64)
        repeat = torch.from_numpy(visits.code == asked[:, None]) * mixed.repeat * mixed.weights[0, 0]
        n_visits = len(visits.code)
        found = counted.looked_up(np.tile(visits.code, len(asked)), np.repeat(asked, n_visits))
        found = found.reshape(len(asked), n_visits, len(RELATIONS))
        share = np.divide(found, answer.support, out=np.zeros_like(found), where=answer.support > 0)
        memory = (mixed.memory * _tensor(share)).sum(dim=2) * mixed.weights[0, 1]
        return repeat, memory

    def padded(self, histories: Histories, level: str, found: Distribution) -> Scores:
        """Put :meth:`scores` into the form that every model gives."""
        known, session, code, probability = found.known, found.query, found.code, found.probability
        own = histories.own_unknown(level, known.shape[1]).codes
        values = known.new_full(own.shape, _LEAST)
        if len(code):
            row, column = (own.index_select(0, session) == code.unsqueeze(1)).nonzero().unbind(1)
            values[session[row], column] = probability[row] + _LEAST
        return Scores(known, values, own)

    def _remembered(self, answer: Answer, counted: CoVisits, n_queries: int) -> Tensor:
        """Distribution of the memory over the known codes, ``(B, n)``."""
        visits = answer.visits
        out = np.zeros((n_queries, counted.size), dtype=np.float32)
        attention = answer.mixed.memory.numpy()
        for relation, counts in enumerate(counted.counts):
            there = answer.support[:, relation] > 0
            weight = attention[there, relation] / answer.support[there, relation]
            place = (visits.query[there], visits.code[there])
            asked = sp.csr_array((weight.astype(np.float32), place), shape=(n_queries, counted.size))
            out += (asked @ counts).toarray()
        return torch.from_numpy(out)

    def answer(
        self,
        network: MixtureNetwork,
        level: str,
        table: RunTable,
        visits: Visits,
        closed: Sequence[Closed],
        opened: Sequence[Opened],
        own: OwnCounts | None,
    ) -> Answer:
        """Mix for the queries of one level; ``own`` is what the asking sessions have put into the counts themselves."""
        names = network.pyramid.level_names
        ended, runs = closed[names.index("item")].hidden, opened[names.index("item")].outputs
        session = table.session
        # Ended runs are in the order of the table, which has one open run more for every session before.
        step = np.where(visits.is_open, len(ended) + visits.query, visits.run - session[visits.run])
        counted = self.co_visits[level]
        known = (visits.code >= 0) & (visits.code < counted.size)
        support = np.where(known[:, None], counted.totals[np.where(known, visits.code, 0)], 0)
        if own is not None:
            support = support - own.of_totals(session[visits.run], visits.code)
        support = np.where(support < 1e-5, 0, support)
        may_repeat = ~visits.is_current if level == "item" else np.ones(len(visits.code), dtype=bool)
        look = Look(
            query=torch.from_numpy(visits.query),
            step=torch.from_numpy(step),
            outputs=torch.cat([ended, runs]),
            last=opened[names.index(level)].last,
            signals=torch.from_numpy(visits.signals),
            context=torch.from_numpy(visits.context),
            may_repeat=torch.from_numpy(may_repeat),
            support=_tensor(support),
        )
        k = 0 if level == "item" else int(level.removeprefix("category_"))
        parent = table.categories[visits.run, k - 2] if k > 1 else np.full(len(visits.run), -1)
        return Answer(visits, network.mixture(level)(look), support, parent)


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def shares_of_runs(answers: Mapping[str, Answer], runs: Runs) -> tuple[AttentionColumn, ...]:
    """Show what every visit of a single history brings to repeat and memory, at the events of its run, by level."""
    found = []
    for level, answer in answers.items():
        run = torch.from_numpy(answer.visits.run)
        weights = torch.tensor(answer.shares())
        found.append(AttentionColumn(level, weights, runs.first[run], runs.last[run], trained=True))
    return tuple(found)

"""The output of the preset ``best``: the mixture's probability of what comes next; in training, of batches, live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hup.config import Config
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.models.hup.live.profiles import LiveProfiles
from hup.models.hup.live.state import EarlierRun, ProfileState
from hup.models.hup.mixture.agreement import Distribution
from hup.models.hup.mixture.co_visits import CoVisits, count_co_visits
from hup.models.hup.mixture.likelihood import mixture_losses
from hup.models.hup.mixture.network import MixtureNetwork
from hup.models.hup.mixture.origins import origin_shares
from hup.models.hup.mixture.probabilities import Probabilities
from hup.models.hup.mixture.similar import Kept
from hup.models.hup.mixture.single.answer import SingleAnswer, SingleMixture
from hup.models.hup.mixture.single.kernel import KernelAnswer
from hup.models.hup.mixture.single.many import KernelAnswers
from hup.models.hup.mixture.single.runs import live_table
from hup.models.hup.mixture.teaching import teach
from hup.models.hup.mixture.visits import RunTable, run_table
from hup.models.hup.mixture.weights import tune_weights
from hup.models.hup.output import COUNTED, LiveAnswer
from hup.nn.mixture import log_popularity
from hup.recommender.attention import AttentionColumn
from hup.recommender.candidates import LevelScores, Scores
from hup.recommender.recommendations import Origin, OwnCandidate, origins_of
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import Histories, Targets
from hup.sessions.earlier import looked_back_on
from hup.sessions.levels import ITEM, MICRO, Level, pyramid_steps, ranked_levels
from hup.sessions.runs import runs_of, training_runs
from hup.training.trained import LevelLoss

_FOLLOWING = f"{COUNTED}following"
_EARLIER = f"{COUNTED}earlier"
_LEAST = 1e-12  # probability of what no part of the mixture knows


class MixtureOutput:
    """Ranks by probability; see :class:`~hup.models.hup.output.Output`.

    Raises
    ------
    KeyError
        One of ``counts`` is not there.
    """

    basis: ClassVar[str] = "probability"
    gives_probabilities: ClassVar[bool] = True

    def __init__(self, live: LiveProfiles, config: Config, counts: Mapping[str, Tensor]) -> None:
        self.live, self.config, self.counts = live, config, counts
        levels = ranked_levels(live.vocabulary.levels)
        co_visits = {
            level: CoVisits.restored(
                {name.removeprefix(prefix): tensor for name, tensor in counts.items() if name.startswith(prefix)},
                config.mixture.window,
                with_itself=level.is_category,
            )
            for level in levels
            for prefix in (f"{COUNTED}{level}.",)
        }
        following = counts[_FOLLOWING] if _keeps_profiles(config) else None
        self._latest: tuple[ProfileState, float | None, SingleAnswer | KernelAnswer, list[str]] | None = None
        # Folders of before have no such tensor: there the configuration alone decided.
        earlier = int(counts[_EARLIER]) if _EARLIER in counts else config.mixture.earlier
        self._network = MixtureNetwork(live.network, live.vocabulary, config, co_visits, following, earlier)
        self.level_weights: dict[str, float] = {ITEM: config.loss.lambda_item}
        self.level_weights |= dict.fromkeys(levels[1:], config.loss.lambda_category)
        if config.loss.lambda_micro and config.mixture.profile:
            self.level_weights[MICRO] = config.loss.lambda_micro

    @staticmethod
    def count(vocabulary: Vocabulary, config: Config, dataset: Dataset) -> dict[str, Tensor]:
        """Count the neighbours of every code in the training split, and list what followed the profiles to keep.

        Whether users come back, too.
        """
        items, offsets = training_runs(dataset, ITEM)
        counts = {_EARLIER: torch.tensor(looked_back_on(dataset, config.mixture.earlier))}
        for level in ranked_levels(vocabulary.levels):
            codes = level.of_items(items, dataset.taxonomy.paths)
            counted = count_co_visits(
                codes,
                offsets,
                vocabulary.size(level),
                window=config.mixture.window,
                neighbors=config.mixture.neighbors,
                with_itself=level.is_category,
            )
            counts |= {f"{COUNTED}{level}.{name}": tensor for name, tensor in counted.tensors().items()}
        if _keeps_profiles(config):
            kept = Kept.of(dataset, config.mixture.similar, config.loss.most_prefixes)
            counts[_FOLLOWING] = torch.from_numpy(kept.following)
        return counts

    @property
    def network(self) -> MixtureNetwork:
        """The pyramid with its mixtures."""
        return self._network

    @property
    def looks_back(self) -> bool:
        """Where users come back, and the configuration wants it."""
        return self.network.most_earlier > 0

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """All alike."""
        return [(1.0, [one for one in self.network.parameters() if one.requires_grad])]

    def losses(self, histories: Histories, targets: Targets) -> dict[Level, LevelLoss]:
        """Negative log-likelihood of what came next."""
        return mixture_losses(self.network, self.config, self.live.buckets, histories, targets)

    def scores(self, histories: Histories) -> LevelScores:
        """Score by probability."""
        asked = self.ask(histories)

        def score(level: str) -> Scores:
            with torch.inference_mode():
                return _padded(histories, Level(level), asked.of(Level(level)))

        return LevelScores(score, partial(origin_shares, asked))

    def ask(self, histories: Histories) -> Probabilities:
        """Mix for the end of every history, at all levels."""
        network = self.network
        with torch.inference_mode():
            answers = network.answers(self._wide_table(histories))
        profiles = self._profiles(histories)
        return Probabilities(network, answers, profiles, histories.current(ITEM).to(network.weights.device))

    def quick_scores(self, histories: Histories) -> LevelScores:
        """Score by probability as a single user's answer has it, where a kernel makes that."""
        kernel = self._single.kernel
        if kernel is None or self.network.weights.device.type != "cpu":
            return self.scores(histories)
        table, profiles = self._wide_table(histories), self._profiles(histories)
        return KernelAnswers(kernel, table, profiles, least=_LEAST).scores(histories)

    def _profiles(
        self, histories: Histories, events: Tensor | None = None, levels: Sequence[Level] | None = None
    ) -> dict[Level, Tensor]:
        """Profiles of some levels, default all that are ranked, at some events of histories, default their ends.

        Where the pyramid takes no part there are none.
        """
        if not self.network.has_profile:
            return {}
        levels = levels or self.network.ranked
        with torch.inference_mode():
            steps = pyramid_steps(histories, self.live.buckets, events)
            made = self.network.pyramid(histories, steps, levels)
        return {level: made[level].vector for level in levels}

    def tune(self, dataset: Dataset, most_sessions: int | None) -> None:
        """Keep the profiles of training sessions, and choose how much all of it weighs.

        That is chosen at every level by the likelihood of the validation split. The order of candidates waits until
        training has ended.
        """
        self._latest = None
        self.network.leave_orders()
        similar, prefixes = self.network.similar, self.config.loss.most_prefixes
        if similar is not None:
            kept = Kept.of(dataset, self.config.mixture.similar, prefixes)
            similar.keep(dataset, kept, self.network.n_behaviors, prefixes, self._item_profiles)
        tune_weights(self.network, self.ask, dataset, most_sessions)

    def conclude(self, dataset: Dataset, most_sessions: int | None, note: Callable[[str], None]) -> None:
        """Learn the orders of the likeliest items and categories, and how far each is followed."""
        self._latest = None
        if self.network.ordered and len(dataset.sessions("validation")):
            note("Learning the order of the likeliest items and categories from the validation split.")
            teach(
                self.network,
                self._profiles,
                dataset,
                prefixes=self.config.loss.prefixes,
                neighbors=self.config.mixture.neighbors,
                most_sessions=most_sessions,
                seed=self.config.training.seed,
            )

    def _item_profiles(self, histories: Histories, events: Tensor) -> Tensor:
        """Profiles of the item level at some events of histories, ``(Q, d)``."""
        return self._profiles(histories, events, [ITEM])[ITEM]

    def biases(self, level: Level) -> Tensor:
        """Give the logarithm of popularity."""
        return log_popularity(self.network.mixture(level).counts)

    def attention(self, histories: Histories) -> tuple[AttentionColumn, ...]:
        """Share that each visit has in repeat and memory, at the events of the last run on its code, by level.

        What is missing to 1 is that of earlier sessions.
        """
        runs, now = runs_of(histories, ITEM), self._wide_table(histories).is_now
        columns = []
        for level, answer in self.ask(histories).answers.items():
            there = now[answer.visits.run]
            run = torch.from_numpy((np.cumsum(now) - 1)[answer.visits.run[there]])
            weights = torch.tensor(answer.shares())[torch.from_numpy(there)]
            columns.append(AttentionColumn(level, weights, runs.first[run], runs.last[run], trained=True))
        return tuple(columns)

    def _wide_table(self, histories: Histories) -> RunTable:
        """Give the runs of histories, after those of earlier sessions where these are looked at."""
        return self.network.with_earlier(run_table(histories, self.network.n_behaviors), histories)

    def check_profiles(self) -> None:
        """Check that the pyramid takes part."""
        if not self.network.has_profile:
            raise HupError("mixture.profile is false: this model was trained without profiles.")

    def profile(self, state: ProfileState, now: float | None) -> dict[Level, Tensor]:
        """Profiles p_l of §4.5, each in the space of its level's vectors; of the micro level in the items'."""
        self.check_profiles()
        return {Level(level): torch.from_numpy(vector) for level, vector in self.live.profiles(state, now).items()}

    def answer(self, state: ProfileState, level: Level, own: Sequence[OwnCandidate], now: float | None) -> LiveAnswer:
        """Score by probability; the reasons are the shares of visits in repeat and memory."""
        asked, visited_items = self.asked(state, now)
        final, answer = asked.of(level), asked.levels[level]
        by_code = dict(zip(final.code.tolist(), final.probability.tolist(), strict=True))
        own_scores = torch.from_numpy(np.array([by_code.get(one.code, 0.0) for one in own], dtype=np.float32))
        visited = [visited_items[run] for run in answer.runs]

        def origins(chosen: Sequence[int]) -> list[Origin]:
            made = answer.contributions(chosen)
            return origins_of(state.met, visited, level, made.total, made.repeat, made.memory, made.profile)

        return LiveAnswer(torch.from_numpy(final.known), own_scores, visited, answer.shares(), origins)

    def asked(self, state: ProfileState, now: float | None) -> tuple[SingleAnswer | KernelAnswer, list[str]]:
        """Answer a state at all levels, and list the items of the runs that are looked at; kept for the next level."""
        latest = self._latest
        if latest is None or latest[0] is not state or latest[1] != now:
            past = self._earlier(state)
            vocabulary = self.live.vocabulary
            earlier = past if self.network.most_earlier else None
            table = live_table(state, vocabulary.levels, self.network.n_behaviors, earlier)
            profiles: dict[Level, NDArray[np.float32]] = {}
            if self.network.has_profile:
                profiles = {Level(of): vector for of, vector in self.live.profiles(state, now).items()}
            items = [*(one.run.item for one in past), *(run.item for run in state.runs), state.current]
            self._latest = latest = state, now, self._single.answer(table, profiles), items
        return latest[2:]

    @cached_property
    def _single(self) -> SingleMixture:
        return SingleMixture(self.network)

    def _earlier(self, state: ProfileState) -> Sequence[EarlierRun]:
        """Give the runs of earlier sessions that are looked at: the newest ones, of known items."""
        n_items = len(self.live.vocabulary.items)
        return [one for one in state.earlier if one.run.seen.code < n_items] if self.looks_back else []


def _keeps_profiles(config: Config) -> bool:
    return config.mixture.profile and config.mixture.similar > 0


def _padded(histories: Histories, level: str, final: Distribution) -> Scores:
    """Put probabilities into the form that every model gives."""
    known, session, code, probability = (
        part.cpu() for part in (final.known, final.query, final.code, final.probability)
    )
    own = histories.own_unknown(level, known.shape[1]).codes
    values = known.new_full(own.shape, _LEAST)
    if len(code):
        row, column = (own.index_select(0, session) == code.unsqueeze(1)).nonzero().unbind(1)
        values[session[row], column] = probability[row] + _LEAST
    return Scores(known, values, own)

"""What the sequence models share: item runs with the codes of a level, the next code of each, and its softmax."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from hup.config import Section, TrainedConfig, Training
from hup.nn.losses import cross_entropy
from hup.nn.taught import Taught
from hup.processes import drawn
from hup.recommender.candidates import Scores
from hup.recommender.known_scores import below_all, products
from hup.recommender.similar import Likeness, cosines
from hup.sessions.batches import Histories, Targets
from hup.sessions.levels import Level
from hup.sessions.runs import Runs, runs_of
from hup.training.trained import LevelLoss, TrainedRecommender

#: Up to so many codes the softmax goes over all of them, unless a kind says otherwise.
WHOLE_SOFTMAX = 4_096
#: Codes that are drawn where not all are looked at, unless configured.
DRAWN = 2_048


class NextCodeNetwork(Section):
    """What every network that predicts the next code has."""

    hidden: PositiveInt = 100
    tied: bool = Field(True, description="one vector for each code, read and predicted")
    dropout: float = Field(0.5, ge=0, lt=1, description="of what the recurrent layer reads")
    negatives: NonNegativeInt = Field(
        0,
        description=f"codes that are drawn for the softmax; 0 = all, or {DRAWN:,} where there are over "
        f"{WHOLE_SOFTMAX:,}",
    )


class NextCodeConfig(TrainedConfig):
    """Options of a model that predicts the next code."""

    training: Training = Training(epochs=60, batch_size=64, learning_rate=0.01, patience=5)
    network: NextCodeNetwork = NextCodeNetwork()


@dataclass(frozen=True)
class Steps:
    """Item runs of ``B`` histories with the codes of one level.

    Attributes
    ----------
    codes : Tensor
        ``(S,)`` int64, made ``n_known`` where not known.
    lengths : Tensor
        ``(B,)``.
    runs : Runs
        The item runs.
    """

    codes: Tensor
    lengths: Tensor
    runs: Runs

    def to(self, device: torch.device | str) -> Self:
        """Move every tensor to a device."""
        return type(self)(self.codes.to(device), self.lengths.to(device), self.runs.to(device))

    @property
    def ends(self) -> Tensor:
        """Last step of every history, ``(B,)``."""
        return self.runs.offsets[1:] - 1


def steps_of(histories: Histories, level: str, n_known: int) -> Steps:
    """Item runs with their codes of a level: the sequence whose next member a level's recommendation is about."""
    runs = runs_of(histories, "item")
    codes = histories.codes(level)[runs.first]
    known = (codes >= 0) & (codes < n_known)
    return Steps(torch.where(known, codes, n_known), runs.lengths(), runs)


class CodeTables(nn.Module):
    """Vectors of the codes of one level: read ones, with one for the unknown, and predicted ones with a bias.

    Parameters
    ----------
    n_known, size : int
    tied : bool
        Read and predict the same vectors.
    """

    def __init__(self, n_known: int, size: int, *, tied: bool = False) -> None:
        super().__init__()
        self.n_known = n_known
        self.inputs = nn.Embedding(n_known + 1, size)
        self.own_outputs = None if tied else nn.Embedding(n_known, size)
        self.bias = nn.Parameter(torch.zeros(n_known))
        for table in (self.inputs, self.own_outputs):
            if table is not None:
                nn.init.normal_(table.weight, std=size**-0.5)

    @property
    def outputs(self) -> Tensor:
        """Vectors that are predicted, ``(n_known, size)``."""
        return self.inputs.weight[:-1] if self.own_outputs is None else self.own_outputs.weight


class LevelNetwork(nn.Module):
    """The network of one level."""

    tables: CodeTables

    @abstractmethod
    def hidden(self, steps: Steps, histories: Histories) -> Tensor:
        """Hidden state at every step, ``(S, d)``, from which the next code is predicted."""


class NextCodeRecommender(TrainedRecommender):
    """An independent network a level, taught the next code at every item run of every training session.

    The sequence of a category level has a member for every item run, as the question is which category the next *item*
    is in: mostly the present one.
    """

    options: ClassVar[type[Section]] = NextCodeConfig
    config: NextCodeConfig
    #: Up to so many codes the softmax goes over all of them where ``network.negatives`` is 0.
    whole_softmax: ClassVar[int] = WHOLE_SOFTMAX
    levels_independent: ClassVar[bool] = True
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("training.learning_rate=0.003",),
        ("network.dropout=0.3",),
        ("network.hidden=200",),
        ("training.batch_size=32",),
        ("network.tied=false",),
    )

    @abstractmethod
    def level_network(self, n_known: int) -> LevelNetwork:
        """Make the network of a level with so many known codes."""

    def build(self) -> nn.ModuleDict:
        """Make a network for every level."""
        return nn.ModuleDict({level: self.level_network(self.vocabulary.size(level)) for level in self.levels})

    def _level(self, level: str) -> Any:
        network = self.network
        assert isinstance(network, nn.ModuleDict)
        return network[level]

    def losses(self, histories: Histories, targets: Targets) -> dict[str, LevelLoss]:
        """Mean loss of the next code over all item runs whose next code is known and a category."""
        losses: dict[str, LevelLoss] = {}
        for level in self.levels:
            network = self._level(level)
            n_known = network.tables.n_known
            steps = steps_of(histories, level, n_known).to(self.device)
            following = torch.cat([steps.codes[1:], steps.codes[:1]])
            following[steps.ends] = targets.codes(level).to(self.device)
            none = level.pick(-1, self.vocabulary.no_category)
            counts = (following >= 0) & (following < n_known) & (following != none)
            at = counts.nonzero().squeeze(1)
            history = steps.runs.history()
            taught = Taught(
                network.hidden(steps, histories).index_select(0, at),
                network.tables.outputs,
                network.tables.bias,
                following[at],
                history[at],
                at - steps.runs.offsets[history[at]],
            )
            losses[level] = LevelLoss.of(self.loss(level, taught), len(at))
        return losses

    def loss(self, level: str, taught: Taught) -> Tensor:
        """Softmax cross-entropy, over drawn codes where there are many."""
        n_known = self.vocabulary.size(level)
        wanted = self.config.network.negatives or (DRAWN if n_known > self.whole_softmax else 0)
        return cross_entropy(taught, self._drawn(torch.randint(n_known, (wanted,))) if wanted else None)

    def _drawn(self, codes: Tensor) -> Tensor:
        """Take codes that were drawn for a batch, the same for all processes."""
        return drawn(codes).to(self.device)

    def likeness(self, level: Level, code: int) -> Likeness:
        """Compare the vectors that are predicted."""
        return cosines(self._level(level).tables.outputs, code)

    def score(self, histories: Histories, level: str) -> Scores:
        """Score by the network's output at the last step; codes that training never saw come last."""
        self._check_level(level)
        network = self._level(level)
        n_known = network.tables.n_known
        with torch.no_grad():
            steps = steps_of(histories, level, n_known).to(self.device)
            hidden = network.hidden(steps, histories).index_select(0, steps.ends)
            known = products(hidden, network.tables.outputs.detach(), network.tables.bias.detach())
        own = histories.own_unknown(level, n_known).codes
        return Scores(known, below_all(known, own), own)

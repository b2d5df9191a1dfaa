"""Configuration of a HUP model: frozen, validated, from TOML presets and ``key=value`` overrides."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from hup.errors import HupError


class Section(BaseModel):
    """A part of a configuration: frozen, and with an error for every key that it lacks."""

    # Strict, as otherwise epochs=true would be 1 epoch.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def validated(cls, tree: dict[str, Any]) -> Self:
        """Build from nested dictionaries, with a readable error for each key that is wrong."""
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise HupError("\n".join(_explain(cls, e["loc"], e["msg"], e["type"]) for e in error.errors())) from None

    def changed(self, overrides: Iterable[str]) -> Self:
        """Copy with single keys changed.

        Parameters
        ----------
        overrides : iterable of str
            ``"section.key=value"``, or ``"key=value"`` of this section; the value is read as TOML, or as text where it
            is none.

        Raises
        ------
        HupError
            For an unknown key (it names the key and those that exist) or a value that does not fit.
        """
        tree = self.model_dump()
        for override in [overrides] if isinstance(overrides, str) else overrides:
            _set(tree, override)
        return self.validated(tree)


class Sessions(Section):
    """Which training sessions are used, and how much of each. Evaluation always uses every session, whole."""

    min_events: NonNegativeInt = Field(0, description="leave out shorter training sessions")
    max_events: PositiveInt | None = Field(None, description="cut training sessions to their first events; 0 = whole")
    min_item_count: NonNegativeInt = Field(
        0, description="leave out training sessions with an item that has fewer training events"
    )
    last_interval: Literal["mask", "keep"] = Field(
        "mask", description="mask = hide the last event's interval and open dwell, which tell the time of the target"
    )

    @field_validator("max_events", mode="before")
    @classmethod
    def _zero_is_whole(cls, value: Any) -> Any:
        # TOML, and so --set, has no word for None.
        return None if value == 0 and value is not False else value


class Embeddings(Section):
    """Sizes of the embedding tables (§5.4), and where the vectors of items and categories come from."""

    item: PositiveInt = 30
    behavior: PositiveInt = 5
    category: PositiveInt = 8
    dwell: PositiveInt = 5
    interval: PositiveInt = 5
    inputs: Literal["skipgram", "random", "targets", "item_targets"] = Field(
        "skipgram",
        description="item and category tables that are read: own ones, trained from skip-gram vectors or from random "
        "numbers, or the target tables themselves; item_targets = those of the items, and own ones of the categories",
    )
    targets: Literal["skipgram", "trainable", "co_visits"] = Field(
        "skipgram",
        description="vectors to come close to: skip-gram, frozen; trainable ones collapse without negatives; co_visits "
        "= trained from a factorisation of what is visited near what, sums along the category tree (mixture alone)",
    )
    item_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the items of a training batch that are read by their categories, as unknown ones are",
    )
    skipgram_window: PositiveInt = 5
    skipgram_epochs: PositiveInt = 50
    skipgram_budget: PositiveInt = Field(
        50_000_000, description="most runs that skip-gram reads in all its epochs: a large log gets fewer epochs"
    )


class Network(Section):
    """The pyramid (Eq. 1-5), and what its ablations (§6.2) leave out of it."""

    hidden: PositiveInt = 100
    single: bool = Field(False, description="instead of the pyramid, one layer over the micro-behaviors for each task")
    micro: bool = Field(True, description="have the micro level")
    micro_signals: bool = Field(True, description="show behavior, dwell and interval to the layer over micro-behaviors")
    category_levels: bool = Field(
        True, description="have layers at the category levels; else their profiles are made of the item level's outputs"
    )
    cell: Literal["behavior_lstm", "gru"] = Field(
        "behavior_lstm", description="the recurrent layer; a gru has no time gates and no behavior gates"
    )
    time_gate: bool = Field(True, description="time gates, which see the interval")
    behavior_gate: bool = Field(True, description="behavior gates, which see the behavior type or the dwell")
    hard_gates: bool = Field(False, description="hard sigmoid in the gates")
    category_gates: Literal[True, False, "time"] = Field(
        True, description="gates at the category levels, too: time and dwell gates, none, or time gates alone"
    )
    attention: bool = Field(True, description="attention; without it a profile is made of the last output")
    attention_hidden: NonNegativeInt = Field(20, description="hidden units of the attention network; 0 = one layer")
    attention_tanh: bool = Field(False, description="pass attention scores through tanh")
    attention_signal: bool = Field(True, description="show behavior type and dwell to the attention")
    category_attention_signal: bool = Field(True, description="show the dwell to the attention of category levels, too")
    head_tanh: bool = Field(False, description="tanh after the dense layer that makes the profile")
    dropout: float = Field(0.0, ge=0, lt=1, description="of what every level reads, and of what its profile is made of")

    @model_validator(mode="after")
    def _one_way_without_pyramid(self) -> Self:
        if self.single and not self.micro:
            raise ValueError("single reads the micro-behaviors, so micro = false has no sense with it")
        if self.single and not self.category_levels:
            raise ValueError("single has a layer for each task, so category_levels = false has no sense with it")
        return self

    @model_validator(mode="after")
    def _gru_without_gates(self) -> Self:
        if self.cell == "gru" and (self.time_gate or self.behavior_gate):
            raise ValueError("a gru has no gates: time_gate and behavior_gate must be false with it")
        return self


class MixtureOptions(Section):
    """Output of the preset ``best``: what comes next is a repeat, a neighbour of what was visited, or something new."""

    repeat: bool = Field(True, description="point at what the session has been on")
    memory: bool = Field(True, description="look at what other sessions visited near it")
    profile: bool = Field(True, description="pool what was counted with what the profile of the level says")
    similar: NonNegativeInt = Field(
        200_000,
        description="most profiles of training sessions that are kept, the newest ones: what followed the most similar "
        "of them is pooled, too; 0 = none",
    )
    reranked: NonNegativeInt = Field(
        100, description="the likeliest items by what was counted, ranked anew by a learned order; 0 = none"
    )
    hidden: PositiveInt = Field(24, description="hidden units of the networks that weigh visits, parts and candidates")
    visits: PositiveInt = Field(128, description="how many item runs back a visit may lie to be looked at")
    earlier: NonNegativeInt = Field(
        128,
        description="item runs of the user's earlier sessions that may be visits, too, the newest ones; 0 = none, and "
        "none where hardly a training session has one before",
    )
    window: PositiveInt = Field(5, description="greatest distance of neighbours, in item runs")
    neighbors: PositiveInt = Field(100, description="most neighbours that are kept of an item or category")
    negatives: PositiveInt = Field(8192, description="codes that a training step draws of a level that has more")


class Loss(Section):
    """Weights of the levels in the loss (Eq. 7)."""

    lambda_micro: NonNegativeFloat = 0.0
    lambda_item: NonNegativeFloat = 0.5
    lambda_category: NonNegativeFloat = Field(0.5, description="shared by the K category levels")
    prefixes: float = Field(
        0.0, ge=0, le=1, description="share of the loss that is over all runs of a session; the rest is over its end"
    )
    most_prefixes: PositiveInt = Field(
        1000, description="runs of a session that are learned from at most, evenly spaced and the last among them"
    )

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if self.lambda_micro == self.lambda_item == self.lambda_category == 0:
            raise ValueError("lambda_micro, lambda_item and lambda_category are all 0, expected one above 0")
        return self


class Training(Section):
    """The loop."""

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 128
    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    grow_from: NonNegativeInt = Field(
        0,
        description="training sessions from which on batches grow with the log: at most four times as large, the rate "
        "with the square root; 0 = never",
    )
    patience: NonNegativeInt = Field(10, description="stop after so many epochs without a better validation; 0 = never")
    patience_steps: NonNegativeInt = Field(
        0,
        description="stop no sooner than after so many steps without a better validation: a small log has few an epoch",
    )
    validation_sessions: NonNegativeInt = Field(
        20_000, description="most validation sessions ranked after an epoch, evenly spaced; 0 = all"
    )
    seed: int = Field(0, ge=0, le=2**32 - 2, description="gensim's generator takes 32 bits")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where training computes; auto = CUDA if it is there"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16 = matrix products of the forward pass in 16 bits; weights stay in 32"
    )

    def grown(self, n_sessions: int) -> tuple[int, float]:
        """Batch size and learning rate for a log of so many training sessions.

        A small log needs its steps; on a large one larger batches are faster and as good (docs/performance.md).
        """
        factor = min(max(n_sessions // self.grow_from, 1), 4) if self.grow_from else 1
        return self.batch_size * factor, self.learning_rate * math.sqrt(factor)

    def has_waited(self, epochs: int, n_sessions: int) -> bool:
        """Tell whether training on so many sessions ends after so many epochs without a better validation."""
        steps = epochs * math.ceil(n_sessions / self.grown(n_sessions)[0])
        return self.patience > 0 and epochs >= self.patience and steps >= self.patience_steps


class TrainedConfig(Section):
    """What every model that is trained by gradient descent has in its configuration."""

    sessions: Sessions = Sessions()
    training: Training = Training()


class Config(TrainedConfig):
    """Everything that decides what a training run of HUP does, besides the dataset.

    Examples
    --------
    >>> Config.preset("paper", ["training.epochs=3"]).training.epochs
    3
    """

    name: str = "custom"
    output: Literal["cosine", "mixture"] = Field(
        "cosine", description="cosine = near the profile's vector (the paper); mixture = repeat, memory and explore"
    )
    embeddings: Embeddings = Embeddings()
    network: Network = Network()
    loss: Loss = Loss()
    mixture: MixtureOptions = MixtureOptions()

    @model_validator(mode="after")
    def _micro_loss_needs_the_level(self) -> Self:
        if self.loss.lambda_micro and (self.network.single or not self.network.micro):
            raise ValueError("loss.lambda_micro is above 0, but there is no micro level to train")
        return self

    @model_validator(mode="after")
    def _output_fits(self) -> Self:
        if self.output == "cosine" and self.loss.prefixes:
            raise ValueError("loss.prefixes is above 0, which output = mixture alone can have")
        if self.output == "mixture" and self.network.single:
            raise ValueError("output = mixture needs the pyramid (not single)")
        if self.output == "cosine" and self.embeddings.targets == "co_visits":
            raise ValueError("embeddings.targets = co_visits needs output = mixture: a cosine would let them collapse")
        return self

    @classmethod
    def preset(cls, name: str, overrides: Iterable[str] = ()) -> Config:
        """Read a preset and change single keys of it.

        Parameters
        ----------
        name : str
            One of :func:`preset_names`.
        overrides : iterable of str
            ``"section.key=value"``; the value is read as TOML, or as text where it is none.

        Raises
        ------
        HupError
            For an unknown preset, an unknown key (it names the key and those that exist) or a value that does not fit.
        """
        if name not in preset_names():
            raise HupError(f"There is no preset {name!r}. Presets: {', '.join(preset_names())}.")
        tree = tomllib.loads(resources.files("hup.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8"))
        for override in [overrides] if isinstance(overrides, str) else overrides:
            _set(tree, override)
        return cls.validated({"name": name, **tree})


def preset_names() -> list[str]:
    """Names of the presets that come with HUP."""
    files = resources.files("hup.presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise HupError(f"--set {override!r} is not of the form section.key=value, for example training.epochs=10.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *sections, leaf = key.strip().split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise HupError(f"--set {key}: {section} is a value, not a section.")
    tree[leaf] = value


def _explain(root: type[BaseModel], location: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(str(part) for part in location)
    if kind != "extra_forbidden":
        return f"Configuration key {key}: {message.removeprefix('Value error, ')}."
    section = root
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        section = annotation
    return f"There is no configuration key {key}. Keys there: {', '.join(section.model_fields)}."

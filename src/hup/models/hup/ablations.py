"""Variants of HUP, each a few keys of the one configuration: the paper's (§6.2), and those of the preset ``best``."""

from __future__ import annotations

#: Name -> what to change of a preset. What was chosen where the paper leaves it open: docs/reproduction.md.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "nomicro": ("network.micro=false",),
    "lstm": (
        "network.time_gate=false",
        "network.behavior_gate=false",
        "network.attention_signal=false",
        "network.micro_signals=false",
    ),
    "tlstm": ("network.behavior_gate=false", "network.attention_signal=false"),
    "noatt": ("network.attention=false",),
    "single": ("network.single=true",),
}

#: The preset ``best`` without one of its ingredients each, and with a GRU for the pyramid (docs/best.md).
INGREDIENTS: dict[str, tuple[str, ...]] = {
    "no-repeat": ("mixture.repeat=false",),
    "no-memory": ("mixture.memory=false",),
    "no-earlier": ("mixture.earlier=0",),
    "no-profile": ("mixture.profile=false",),
    "no-similar": ("mixture.similar=0",),
    "no-reranking": ("mixture.reranked=0",),
    "no-prefixes": ("loss.prefixes=0.0",),
    "no-micro": ("network.micro=false", "loss.lambda_micro=0.0"),
    "no-category-levels": ("network.category_levels=false",),
    "gru": (
        "network.micro=false",
        "loss.lambda_micro=0.0",
        "network.category_levels=false",
        "network.cell='gru'",
        "network.time_gate=false",
        "network.behavior_gate=false",
    ),
}

#: Settings worth trying, one a time: sizes are the paper's, what it leaves open is not.
TUNING: tuple[tuple[str, ...], ...] = (
    (),
    ("embeddings.skipgram_epochs=150",),
    ("embeddings.skipgram_window=10",),
    ("training.batch_size=32",),
    ("training.learning_rate=0.001",),
    ("training.learning_rate=0.01",),
)

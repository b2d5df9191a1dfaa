"""The paper's variants of HUP (§6.2), each a few keys of the one configuration."""

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

"""Micro-behavior types, and the ten of the JD logs (Table 1 of the paper)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Behavior(BaseModel):
    """A behavior type: the code that the log writes and a name for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: str


JD_BEHAVIORS: tuple[Behavior, ...] = tuple(
    Behavior(code=str(number), name=name)
    for number, name in enumerate(
        (
            "Home2Product",
            "ShopList2Product",
            "Sale2Product",
            "Cart2Product",
            "SearchList2Product",
            "Detail_comments",
            "Detail_specification",
            "Detail_bottom",
            "Cart",
            "Order",
        ),
        start=1,
    )
)

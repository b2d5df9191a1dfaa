"""Steps of a computation that stay apart in SQL."""

from __future__ import annotations

import ibis.expr.types as ir


def stage(table: ir.Table) -> ir.Table:
    """End a step: columns computed so far are referred to by what follows.

    Ibis writes ``mutate`` after ``mutate`` as one SELECT, each column repeated wherever it is used, which grows by
    products. A view of a table is not merged with what is made of it.
    """
    return table.view()

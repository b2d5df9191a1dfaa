"""``hup explain``: what models make of one session, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.console import console, note, results_table
from hup.cli.session_input import SessionFormat, session_text
from hup.errors import HupError

if TYPE_CHECKING:
    from rich.table import Table

    from hup.recommender.base import Recommender
    from hup.report.case import Case
    from hup.report.explanation import Explanation, Rank


def explain(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model folders, side by side.")],
    session: Annotated[
        Path | None, typer.Option(help="File with one session, its last item run held out; - reads standard input.")
    ] = None,
    format: Annotated[
        SessionFormat,
        typer.Option(help="jd: one line of item+behavior+category+interval+dwell; jsonl: one event a line."),
    ] = SessionFormat.JD,
    line: Annotated[int | None, typer.Option(min=1, help="Line of a JD log of several sessions.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Dataset folder, instead of --session.")] = None,
    index: Annotated[
        int | None,
        typer.Option(min=0, help="Session of --dataset.", show_default="the first test session that fits a page"),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write the page.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Write the picture.")] = None,
    level: Annotated[str | None, typer.Option(help="category_1 … category_K.", show_default="the finest")] = None,
    last: Annotated[int | None, typer.Option(min=2, help="Show so many events at the end.", show_default="all")] = None,
) -> None:
    """Show where models look in a session, and where they rank what came next (Figure 5 of the paper).

    The session's last item run is the ground truth; models see what comes before it. Models without attention show
    their ranks alone. A level that no loss reached, as the micro level with lambda_micro = 0, is marked untrained.
    """
    from hup.recommender.kinds import load
    from hup.report.explanation import explain as explained
    from hup.report.explanation import with_distinct_names
    from hup.report.page import write_explanation

    case = _case(session, format, line, dataset, index)
    opened = with_distinct_names([load(model) for model in models], models)
    explanation = explained(opened, case, level=level)
    if explanation.note:
        note(explanation.note)
    if out is not None:
        write_explanation(explanation, out, last=last)
    if png is not None:
        from hup.report.case_image import write_case_image

        write_case_image(explanation, png, last=last)
    console.print(_ranks(explanation))
    if said := _said(opened, explanation.events[-1].item):
        console.print(said, markup=False, highlight=False)
    written = [str(path) for path in (out, png) if path is not None]
    note(f"Written: {', '.join(written)}." if written else "Attention is shown by --out FILE.html and --png FILE.png.")


def _case(
    session: Path | None, format: SessionFormat, line: int | None, dataset: Path | None, index: int | None
) -> Case:
    from hup.data.dataset import Dataset
    from hup.report.case import case_from_dataset, case_from_text, choose_case

    if (session is None) == (dataset is None):
        raise HupError("Name one session: a file with --session, or --dataset with --index.")
    if dataset is not None:
        if line is not None:
            raise HupError("--line chooses from --session; of a dataset, --index does.")
        opened = Dataset.open(dataset)
        return choose_case(opened) if index is None else case_from_dataset(opened, index)
    assert session is not None
    if index is not None:
        raise HupError("--index chooses from --dataset; of a JD log, --line does.")
    source = "standard input" if str(session) == "-" else session.name
    return case_from_text(session_text(session), source, format.value, line)


def _said(models: Sequence[Recommender], item: str) -> str:
    """Say what people call an item, where a model carries names."""
    carried = next((model.item_columns for model in models if model.item_columns is not None), None)
    titles = [carried.of(item)[name] for name in carried.title] if carried is not None else []
    return f"{item}: {titles[0]}\n" if titles and titles[0] is not None else ""


def _ranks(explanation: Explanation) -> Table:
    """Lay out the ranks of the ground truth for the terminal."""
    from rich.markup import escape

    truth = explanation.events[-1]
    levels = list(explanation.models[0].ranks)
    path = f" ({' > '.join(truth.path)})" if len(levels) > 1 else ""
    title = f"Rank of the ground truth: {truth.item}{path}"
    table = results_table(title, ("model", *levels), right=levels)
    for model in explanation.models:
        table.add_row(escape(model.name), *map(_rank, model.ranks.values()))
    return table


def _rank(rank: Rank) -> str:
    return rank.reason if rank.rank is None else f"{rank.rank:,} of {rank.candidates:,}"

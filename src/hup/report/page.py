"""The two pages, filled in: the report of one or more runs, and the case study of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hup.errors import HupError
from hup.experiment.results import Results
from hup.files import write_aside
from hup.recommender.recommendations import Recommendation
from hup.report.agreement import agreement
from hup.report.case_table import case_grid
from hup.report.charts import panels, reliability_chart
from hup.report.claim_tables import agreement_table, claims_table
from hup.report.claims import judge
from hup.report.curves import Curves, learning_curves, sweep_curves
from hup.report.detail_tables import detail_tables
from hup.report.explanation import Explanation
from hup.report.further_tables import further_tables
from hup.report.rank_table import rank_table
from hup.report.result_tables import main_table, shown_levels, statistics_table
from hup.report.summary import summary_sentences
from hup.report.table import Table
from hup.report.wording import level_title
from hup.report.worth import worth_curves
from hup.sessions.levels import Level

CASE_EVENTS = 16  # of a session that are shown in the report; the paper shows 12


@dataclass(frozen=True)
class RunSection:
    """What the report says of one run."""

    results: Results
    anchor: str
    sentences: list[str]
    main: Table
    agreement: Table | None
    claims: Table | None
    further: list[Table]
    details: list[Table]
    reliability: Markup | None


def write_report(
    runs: Sequence[Results],
    out: str | Path,
    *,
    papers: Sequence[str | None] | None = None,
    sweeps: Sequence[Results] = (),
    curves: Sequence[Results] = (),
    cases: Sequence[Explanation] = (),
    markdown: str | Path | None = None,
    command: str = "",
) -> None:
    """Write the report: one HTML file that needs no network and no scripts.

    Parameters
    ----------
    runs : sequence of Results
        From :func:`hup.experiment.read_results`; a section each.
    out : path
    papers : sequence of str or None, optional
        For each run the paper's dataset that it is a sample of, ``"appliances"`` or ``"computers"``; default none.
    sweeps : sequence of Results
        Runs of ``hup sweep``; a figure each.
    curves : sequence of Results
        Runs on datasets of growing size; one figure of all, and one of what each part of the preset ``best`` is worth,
        where they have the rows.
    cases : sequence of Explanation
    markdown : path, optional
        The main tables also as Markdown.
    command : str
        What made the report, for its foot.

    Raises
    ------
    HupError
        If there is no run, a sweep is none, there are too few sizes for a curve, or a file cannot be written.
    """
    if not runs:
        raise HupError("A report needs at least one run; make one with `hup compare`.")
    papers = [None] * len(runs) if papers is None else papers
    statistics = statistics_table(runs, papers)
    sections = [_section(run, paper, n) for n, (run, paper) in enumerate(zip(runs, papers, strict=True), 1)]
    learning, worth = (learning_curves(curves), worth_curves(curves)) if curves else (None, None)
    swept = [sweep_curves(sweep) for sweep in sweeps]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            runs=sections,
            statistics=statistics,
            sweeps=[(figure, _svg(figure, f"sweep{n}")) for n, figure in enumerate(swept, 1)],
            learning=None if learning is None else (learning, _svg(learning, "curve")),
            worth=None if worth is None else (worth, _svg(worth, "worth")),
            cases=[(explanation, case_grid(explanation, CASE_EVENTS)) for explanation in cases],
            appendix=[*runs, *sweeps, *curves],
            command=command,
        )
    )
    _write(out, page)
    if markdown is not None:
        tables = [statistics]
        for section in sections:
            tables += [
                table
                for table in (section.main, *section.further, section.agreement, section.claims)
                if table is not None
            ]
        tables += [figure.table for figure in (*swept, learning, worth) if figure is not None]
        _write(markdown, "\n".join(table.markdown() for table in tables))


def write_explanation(explanation: Explanation, out: str | Path, *, last: int | None = None) -> None:
    """Write the case study of a session as one HTML file that needs no network and no scripts.

    Parameters
    ----------
    explanation : Explanation
    out : path
    last : int, optional
        Show so many events at the end; those before become one row. Default all.

    Raises
    ------
    HupError
        If the file cannot be written.
    """
    template = _environment().get_template("explain.html.j2")
    _write(out, template.render(explanation=explanation, grid=case_grid(explanation, last)))


def _section(results: Results, paper: str | None, number: int) -> RunSection:
    claims = judge(results, paper)
    return RunSection(
        results=results,
        anchor=f"run-{number}",
        sentences=summary_sentences(results, claims, shown_levels(results)),
        main=main_table(results, paper),
        agreement=None if paper is None else agreement_table(agreement(results, paper), results.dataset["levels"]),
        claims=claims_table(claims, results) if claims else None,
        further=further_tables(results),
        details=detail_tables(results),
        reliability=_reliability(results, f"reliability{number}"),
    )


def _reliability(results: Results, number: str) -> Markup | None:
    """Draw the reliability of the first row that gives probabilities."""
    depth = results.dataset["levels"]
    row = next((row for row in results.rows if row.calibration and row.levels), None)
    if row is None:
        return None
    bins = {
        f"{row.title}: {level_title(level, depth)}": [
            (one["probability"], one["came_true"]) for one in row.calibration[level]["bins"]
        ]
        for level in shown_levels(results)[:3]
        if level in row.calibration
    }
    return Markup(reliability_chart(bins, number)) if bins else None


def _svg(curves: Curves, number: str) -> Markup:
    titles, lines = zip(*curves.panels, strict=True)
    # Names in it are escaped by the SVG writer.
    return Markup(panels(titles, lines, curves.x_title, log=curves.log, number=number))


def _environment() -> Environment:
    from hup import __version__

    environment = Environment(
        loader=PackageLoader("hup.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "version": __version__,
        "level_title": level_title,
        "rank_table": rank_table,
        "depth_of": _depth,
        "is_truth": _is_truth,
    }
    return environment


def _depth(explanation: Explanation) -> int:
    return len(explanation.events[-1].path)


def _is_truth(explanation: Explanation, level: str, recommended: Recommendation) -> bool:
    truth = explanation.events[-1]
    level = Level(level)
    return recommended.path == truth.path[: level.k] if level.is_category else recommended.name == truth.item


def _write(path: str | Path, text: str) -> None:
    with write_aside(Path(path)) as aside:
        aside.write_text(text, encoding="utf-8")

"""``hup report``: the experiment as one page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hup.cli.console import note
from hup.errors import HupError, command_line

if TYPE_CHECKING:
    from hup.experiment import Results
    from hup.report.case import Case
    from hup.report.explanation import Explanation

#: Rows whose attention the paper shows side by side in Figure 5.
FIGURE_5 = ("rib", "hup-tlstm", "hup")
NO_PAPER = "none"


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, from `hup compare`.")],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    sweep: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Run folder of `hup sweep`; may be repeated.")
    ] = None,
    curve: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Run on a dataset of another size, for learning curves; repeat it."),
    ] = None,
    explain: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL",
            help="Model folder for the case study; may be repeated.",
            show_default="RIB, HUP-TLSTM and HUP of every run",
        ),
    ] = None,
    case: Annotated[
        int | None,
        typer.Option(help="Number of the session in its dataset.", show_default="the first test session that fits"),
    ] = None,
    paper: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN=NAME",
            help="Put the paper's figures of appliances or computers beside a run's, or none.",
            show_default="by the run's label",
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the main tables as Markdown, too.")
    ] = None,
) -> None:
    """Write one offline page of one or more runs.

    It has the paper's Tables 2 and 3, its figures and claims beside ours, significance, cost, and a case study. It
    needs no network and no scripts, prints, and fits a phone.
    """
    from hup.experiment import read_results
    from hup.report.page import write_report

    all_results = [read_results(run) for run in runs]
    write_report(
        all_results,
        out,
        papers=_papers(runs, all_results, paper or ()),
        sweeps=[read_results(run) for run in sweep or ()],
        curves=[read_results(run) for run in curve or ()],
        cases=_cases(runs, all_results, explain, case),
        markdown=markdown,
        command=command_line(Path(sys.argv[0]).name, *sys.argv[1:]),
    )
    for results in all_results:
        for row in results.rows:
            if row.failed is not None:
                note(f"{results.label}: {row.row} has no figures: {row.failed}")
    note(f"The report is {out}." + (f" Its tables as Markdown are {markdown}." if markdown else ""))


def _papers(runs: Sequence[Path], all_results: Sequence[Results], given: Sequence[str]) -> list[str | None]:
    """Name the paper's dataset of every run: as told, else by its label."""
    from hup.report.paper import STATISTICS, paper_dataset

    chosen: dict[str, str | None] = {}
    for text in given:
        run, sign, name = text.rpartition("=")
        if not sign or name not in (*STATISTICS, NO_PAPER):
            raise HupError(f"--paper {text}: expected RUN=NAME, where NAME is {', '.join(STATISTICS)} or {NO_PAPER}.")
        if Path(run) not in runs:
            raise HupError(f"--paper {text}: {run} is none of the runs {', '.join(map(str, runs))}.")
        chosen[str(Path(run))] = None if name == NO_PAPER else name
    return [
        chosen[str(run)] if str(run) in chosen else paper_dataset(results.label)
        for run, results in zip(runs, all_results, strict=True)
    ]


def _cases(
    runs: Sequence[Path], all_results: Sequence[Results], models: Sequence[Path] | None, index: int | None
) -> list[Explanation]:
    """Make a case study for every dataset: of the models that are named, else of those that the paper shows."""
    from hup.experiment.run_folder import RunFolder
    from hup.recommender.model_folder import CONFIG, read_config

    if models:
        fingerprints = {model: read_config(model).get("dataset_fingerprint") for model in models}
        known = {results.dataset["fingerprint"] for results in all_results}
        if strange := [model for model, fingerprint in fingerprints.items() if fingerprint not in known]:
            raise HupError(f"{strange[0]} was trained on none of the datasets of these runs; explain it on its own.")
    elif index is not None and len({results.dataset["fingerprint"] for results in all_results}) > 1:
        raise HupError("--case is a number in one dataset, and these runs are of several. Name models with --explain.")
    cases, done = [], set()
    for run, results in zip(runs, all_results, strict=True):
        fingerprint = results.dataset["fingerprint"]
        if fingerprint in done:
            continue
        done.add(fingerprint)
        if models:
            folders = [model for model in models if fingerprints[model] == fingerprint]
        else:
            places = [
                RunFolder(run).model(row.row, seed)
                for name in FIGURE_5
                for row in results.rows
                if row.row == name
                for seed in row.seeds[:1]
            ]
            folders = [place for place in places if (place / CONFIG).is_file()]
        if folders and (session := _session(results, index)) is not None:
            cases.append(_explained(folders, session))
    return cases


def _session(results: Results, index: int | None) -> Case | None:
    from hup.data.dataset import Dataset
    from hup.report.case import case_from_dataset, choose_case

    path = Path(results.dataset["path"])
    if not path.is_dir():
        note(f"No case study of {results.label}: its dataset {path} is not here. Run the command where it is.")
        return None
    dataset = Dataset.open(path)
    if dataset.fingerprint != results.dataset["fingerprint"]:
        note(f"No case study of {results.label}: {path} is another dataset than that of the run.")
        return None
    return choose_case(dataset) if index is None else case_from_dataset(dataset, index)


def _explained(folders: Sequence[Path], case: Case) -> Explanation:
    from hup.recommender.kinds import load
    from hup.report.explanation import explain, with_distinct_names

    return explain(with_distinct_names([load(folder) for folder in folders], folders), case)

"""What the paper says of its tables (§6.1, §6.2), held against the figures of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hup.evaluation.significance import holm
from hup.experiment.read_results import SIGNIFICANT
from hup.experiment.results import Results
from hup.report.paired import Comparison, PairedTests
from hup.report.paper import paper_figure
from hup.sessions.levels import Level

CONVENTIONAL = ("popularity", "bpr-mf", "item-knn", "word2vec", "word2vec-avg")
RECURRENT = ("rib", "time-lstm", "s-hrnn")
VARIANTS = ("hup-nomicro", "hup-lstm", "hup-tlstm", "hup-noatt", "hup-single")
MIXTURES = ("slist+recency", "vsknn+recency", "stan+item-knn+recency")

HOLDS, FAILS, UNSURE = "holds", "does not hold", "cannot be told"


@dataclass(frozen=True)
class Claim:
    """Rows of which each is said to be better than each of some others.

    Attributes
    ----------
    text : str
    source : str
        Section of the paper; empty for what it does not ask.
    better, worse : tuple of str
        Names of rows.
    """

    text: str
    source: str
    better: tuple[str, ...]
    worse: tuple[str, ...]


CLAIMS = (
    Claim("HUP is better than every baseline", "§6.1", ("hup",), (*CONVENTIONAL, *RECURRENT)),
    Claim(
        "POP and BPR-MF are the worst",
        "§6.1",
        (*CONVENTIONAL[2:], *RECURRENT, "hup", *VARIANTS),
        ("popularity", "bpr-mf"),
    ),
    Claim("RIB, Time-LSTM and S-HRNN are better than the conventional baselines", "§6.1", RECURRENT, CONVENTIONAL),
    Claim("Time-LSTM is better than RIB", "§6.1", ("time-lstm",), ("rib",)),
    Claim("HUP is better than every variant of it", "§6.2", ("hup",), VARIANTS),
    Claim("The pyramid helps: HUP is better than HUP-Single", "§6.2 (1)", ("hup",), ("hup-single",)),
    Claim("Micro-behaviors help: HUP is better than HUP-NoMicro", "§6.2 (2)", ("hup",), ("hup-nomicro",)),
    Claim("HUP-NoMicro is the worst variant", "§6.2 (2)", VARIANTS[1:], ("hup-nomicro",)),
    Claim("Time gates help: HUP-TLSTM is better than HUP-LSTM", "§6.2 (3)", ("hup-tlstm",), ("hup-lstm",)),
    Claim("Behavior gates help: HUP is better than HUP-TLSTM", "§6.2 (3)", ("hup",), ("hup-tlstm",)),
    Claim("Attention helps: HUP is better than HUP-NoAtt", "§6.2 (4)", ("hup",), ("hup-noatt",)),
    Claim("HUP is better than Recency, which nothing is trained for", "", ("hup",), ("recency",)),
    Claim("The preset best is better than Recency", "", ("hup-best",), ("recency",)),
    Claim("It is better than every mixture with Recency", "", ("hup-best",), MIXTURES),
    Claim("It is better than HUP as the paper has it", "", ("hup-best",), ("hup",)),
)


@dataclass(frozen=True)
class Verdict:
    """What a column says of a claim.

    Attributes
    ----------
    level, metric : str
    verdict : str
        :data:`HOLDS`: every pair is ordered as claimed with p < 0.01 (paired t-test, Holm over the claim's pairs);
        :data:`FAILS`: at least one is ordered the other way so surely; :data:`UNSURE`: neither.
    ordered, pairs : int
        Pairs whose means are ordered as claimed, of how many.
    weakest : tuple of str, or None
        The pair (better, worse) whose difference is smallest, or most negative.
    mean, p : float or None
        Of that pair, the p-value after Holm.
    missing : tuple of str
        Rows of the claim that have no figures here.
    paper : bool or None
        Whether the paper's own means are ordered as claimed; None where it has none to compare.
    """

    level: str
    metric: str
    verdict: str
    ordered: int
    pairs: int
    weakest: tuple[str, str] | None
    mean: float | None
    p: float | None
    missing: tuple[str, ...]
    paper: bool | None


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with a verdict for every column, and one for all."""

    claim: Claim
    columns: tuple[Verdict, ...]

    @property
    def overall(self) -> str:
        """Holds in every column, fails in one, or neither."""
        verdicts = {column.verdict for column in self.columns}
        return FAILS if FAILS in verdicts else HOLDS if verdicts == {HOLDS} else UNSURE


def judge(results: Results, paper: str | None = None) -> list[JudgedClaim]:
    """Hold all claims against a run: at the item level and, if it has any, the finest category level, as in the paper.

    Parameters
    ----------
    results : Results
    paper : {"appliances", "computers"}, optional
        Dataset of the paper that the run's is a part of.
    """
    tests = PairedTests(results)
    finest = Level.category(results.dataset["levels"])
    without_categories = results.levels == ["item"]
    levels = ["item"] if without_categories else ["item", finest]
    columns = [(level, metric) for level in levels for metric in ("recall", "mrr")]
    return [
        JudgedClaim(claim, tuple(_verdict(claim, tests.compare, *column, paper, finest) for column in columns))
        for claim in CLAIMS
        if any(row in tests.rows for row in claim.better) and any(row in tests.rows for row in claim.worse)
    ]


def _verdict(
    claim: Claim,
    compare: Callable[[str, str, str, str], Comparison | None],
    level: str,
    metric: str,
    paper: str | None,
    finest: str,
) -> Verdict:
    names = [(better, worse) for better in claim.better for worse in claim.worse]
    compared = {pair: compare(*pair, level, metric) for pair in names}
    pairs = {pair: comparison for pair, comparison in compared.items() if comparison is not None}
    there = {row for pair in pairs for row in pair}
    missing = tuple(row for row in (*claim.better, *claim.worse) if row not in there)
    corrected = dict(zip(pairs, _corrected(list(pairs.values())), strict=True))
    sure = {pair: p is not None and p < SIGNIFICANT for pair, p in corrected.items()}
    against = [pair for pair, comparison in pairs.items() if sure[pair] and comparison.mean < 0]
    proven = [pair for pair, comparison in pairs.items() if sure[pair] and comparison.mean > 0]
    verdict = FAILS if against else HOLDS if not missing and len(proven) == len(names) else UNSURE
    weakest = min(pairs, key=lambda pair: pairs[pair].mean, default=None)
    return Verdict(
        level=level,
        metric=metric,
        verdict=verdict,
        ordered=sum(comparison.mean > 0 for comparison in pairs.values()),
        pairs=len(names),
        weakest=weakest,
        mean=pairs[weakest].mean if weakest else None,
        p=corrected[weakest] if weakest else None,
        missing=missing,
        paper=_in_paper(names, paper, level, metric, finest),
    )


def _corrected(comparisons: Sequence[Comparison]) -> list[float | None]:
    """Correct the p-values after Holm; what could not be tested stays None."""
    known = [(place, comparison.p) for place, comparison in enumerate(comparisons) if comparison.p is not None]
    out: list[float | None] = [None] * len(comparisons)
    for (place, _), p in zip(known, holm([p for _, p in known]), strict=True):
        out[place] = p
    return out


def _in_paper(names: Sequence[tuple[str, str]], paper: str | None, level: str, metric: str, finest: str) -> bool | None:
    figures = [[paper_figure(paper, row, level, metric, finest) for row in pair] for pair in names]
    if any(value is None for pair in figures for value in pair):
        return None
    return all(better > worse for better, worse in figures)  # type: ignore[operator]  # none of them is None

"""Cases of Figure 5: where histories end, which session is chosen, ranks as in the evaluation, cells that cover all."""

from __future__ import annotations

import numpy as np
import pytest

import hup
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.recommender.candidates import target_ranks
from hup.recommender.kinds import model_class
from hup.report.case import case_from_dataset, case_from_events, case_from_text, choose_case
from hup.report.case_table import case_grid
from hup.report.explanation import explain
from hup.sessions.batches import histories_and_targets
from hup.sessions.events import Event

QUICK = ("network.hidden=6", "training.epochs=1", "embeddings.skipgram_epochs=1")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("cases")
    hup.simulate(hup.SimulatorConfig(sessions=150, items=60, levels=2, mean_events=12, seed=3), folder / "log.txt")
    return hup.prepare(folder / "log.txt", format="jd", out=folder / "dataset")


@pytest.fixture(scope="module")
def models(dataset, tmp_path_factory):
    fitted = []
    for kind, changes in (("hup", QUICK), ("rib", QUICK), ("recency", ())):
        model = model_class(kind)(model_class(kind).options().changed(changes))
        out = tmp_path_factory.mktemp("models") / kind
        hup.training.fit(model, dataset, out)
        fitted.append(model)
    return fitted


def events(*items: str) -> list[Event]:
    return [Event(item, "1", None, (item[0],), interval=float(n + 1)) for n, item in enumerate(items)]


def test_the_history_ends_before_the_last_item_run():
    case = case_from_events(events("a", "b", "a", "a"))
    assert case.cut == 2
    assert [event.item for event in case.history] == ["a", "b"]


@pytest.mark.parametrize(("items", "message"), [((), "empty"), (("a", "a"), "single item run")])
def test_a_session_without_a_ground_truth_is_refused(items, message):
    with pytest.raises(HupError, match=message):
        case_from_events(events(*items))


def test_a_line_of_a_log_is_chosen_by_its_number():
    text = "a+1+9+5+3\nb+1+9+5+3 c+1+9+5+3\n"
    assert case_from_text(text, "log.txt", line=2).events[0].item == "b"
    with pytest.raises(HupError, match=r"log\.txt has no line 3; it has 2"):
        case_from_text(text, "log.txt", line=3)
    with pytest.raises(HupError, match="JD log only"):
        case_from_text(text, "log.txt", format="jsonl", line=1)


def test_the_chosen_case_is_a_test_session_that_fits_a_page(dataset):
    case = choose_case(dataset)
    assert case.index in dataset.sessions("test")
    assert not case.is_training
    assert 10 <= len(case.events) <= 16
    assert len({event.item for event in case.events}) >= 5


def test_no_session_beyond_the_dataset(dataset):
    with pytest.raises(HupError, match="those of the test split are"):
        case_from_dataset(dataset, len(dataset))


def test_ranks_of_a_case_are_those_of_the_evaluation(dataset, models):
    indices = np.asarray(dataset.sessions("test"))[:12]
    for index in indices.tolist():
        explanation = explain(models, case_from_dataset(dataset, index))
        histories, targets = histories_and_targets(dataset, np.asarray([index]))
        for model, view in zip(models, explanation.models, strict=True):
            excluded = histories.current("item")
            expected = target_ranks(model.score(histories, "item"), targets.item, excluded=excluded)[0]
            assert (view.ranks["item"].rank or np.inf) == expected, (model.name, index)


def test_attention_covers_the_history_and_sums_to_one(dataset, models):
    explanation = explain(models, choose_case(dataset))
    for view in explanation.models:
        for column in view.columns.values():
            assert sum(weight.value for weight in column.weights) == pytest.approx(1, abs=1e-5)
            assert all(0 <= weight.first <= weight.last < explanation.cut for weight in column.weights)
    by_name = {view.name: view for view in explanation.models}
    assert not by_name[models[2].name].columns, "recency looks at nothing"
    assert not by_name[models[0].name].columns["micro"].trained, "no loss reached the micro level"


@pytest.mark.parametrize("last", [None, 2, 5, 9, 1000])
def test_cells_of_the_grid_cover_every_row_once(dataset, models, last):
    explanation = explain(models, choose_case(dataset))
    grid = case_grid(explanation, last)
    assert len(grid.rows) == len(explanation.events) - grid.n_folded
    for column in zip(*grid.rows, strict=True):
        covered = 0
        for place, cell in enumerate(column):
            assert (cell is not None) == (place >= covered)
            if cell is not None:
                covered = place + cell.span
        assert covered == len(grid.rows)
        assert column[grid.target] is not None, "the ground truth has cells of its own"


def test_models_with_one_name_or_other_levels_do_not_stand_side_by_side(dataset, models, tmp_path):
    case = choose_case(dataset)
    with pytest.raises(HupError, match="other names"):
        explain([models[0], models[0]], case)
    with pytest.raises(HupError, match="at least one"):
        explain([], case)
    with pytest.raises(HupError, match="category_9"):
        explain(models, case, level="category_9")
    hup.simulate(hup.SimulatorConfig(sessions=60, items=30, levels=1, mean_events=8, seed=4), tmp_path / "log.txt")
    flat = model_class("popularity")().fit(hup.prepare(tmp_path / "log.txt", format="jd", out=tmp_path / "dataset"))
    with pytest.raises(HupError, match="numbers of category levels differ"):
        explain([models[0], flat], case)


def test_a_training_session_is_marked(dataset, models):
    explanation = explain(models, case_from_dataset(dataset, dataset.sessions("train").start))
    assert "learned from this session" in explanation.note


def test_a_session_without_categories_has_no_category_columns(bare_shops):
    dataset = bare_shops["K=1, bare"]
    model = model_class("hup")(model_class("hup").options().changed(QUICK)).fit(dataset)
    shown = explain([model], choose_case(dataset))
    assert list(shown.models[0].ranks) == list(shown.models[0].top) == list(shown.listed_levels) == ["item"]
    assert "category_1" not in [head.level for head in case_grid(shown).heads]

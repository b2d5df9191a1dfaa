"""Models that learn the next code: what they are taught, what they know, that they learn, and go on after a stop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import hup
from hup.data.dataset import Dataset
from hup.evaluation import evaluate
from hup.models.trained.gru4rec import GRU4Rec
from hup.models.trained.next_code import steps_of
from hup.models.trained.s_hrnn import SHRNN
from hup.models.trained.sasrec import SASRec
from hup.models.trained.time_lstm import TimeLSTM
from hup.recommender.kinds import model_class
from hup.sessions.batches import Histories, histories_and_targets
from hup.training import Observer

KINDS = (GRU4Rec, SASRec, TimeLSTM, SHRNN)
QUICK = ("network.hidden=8", "training.epochs=3", "training.batch_size=16", "training.patience=0")


def made(kind, *overrides: str):
    return kind(kind.options().changed([*QUICK, *overrides]))


def test_steps_are_item_runs_with_the_codes_of_the_level(dataset):
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    for level in ("item", "category_1"):
        n_known = dataset.n_train_items if level == "item" else dataset.n_train_categories[0]
        steps = steps_of(histories, level, n_known)
        expected = []
        for low, high in zip(histories.offsets[:-1].tolist(), histories.offsets[1:].tolist(), strict=True):
            for at in range(low, high):
                if at == low or histories.item[at] != histories.item[at - 1]:
                    expected.append(min(int(histories.codes(level)[at]), n_known))
        assert steps.codes.tolist() == expected
        assert int(steps.lengths.sum()) == len(expected)
        assert torch.equal(steps.ends, steps.lengths.cumsum(0) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_item_run_is_taught_its_next_code(dataset, kind):
    """The count of a level's loss is the number of runs whose next code training knows and that is a category."""
    model = made(kind).initialise(dataset)
    histories, targets = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    losses = model.losses(histories, targets)
    assert list(losses) == list(model.levels)
    for level in model.levels:
        n_known = model.vocabulary.size(level)
        none = -1 if level == "item" else dataset.taxonomy.no_category[int(level[9:]) - 1]
        expected = 0
        for b in range(len(histories)):
            part = slice(int(histories.offsets[b]), int(histories.offsets[b + 1]))
            items, codes = histories.item[part].tolist(), histories.codes(level)[part].tolist()
            sequence = [c for at, c in enumerate(codes) if at == 0 or items[at] != items[at - 1]]
            sequence.append(int(targets.codes(level)[b]))
            expected += sum(0 <= code < n_known and code != none for code in sequence[1:])
        assert losses[level].count == expected


class Losses(Observer):
    def __init__(self) -> None:
        self.records: list[float] = []

    def epoch_done(self, record) -> None:
        self.records.append(sum(record["loss"].values()))


#: What learns on one level of categories learns on more; that all have their networks is in the contract tests.
one_level = pytest.mark.parametrize("dataset", [1], ids=["K=1"], indirect=True)


@one_level
@pytest.mark.parametrize("overrides", [(), ("network.loss='bpr_max'",), ("network.negatives=20", "network.tied=false")])
def test_gru4rec_learns(dataset, overrides):
    watched = Losses()
    made(GRU4Rec, *overrides, "training.epochs=3").fit(dataset, observer=watched)
    assert watched.records[-1] < watched.records[0] - 0.1


@one_level
@pytest.mark.parametrize("overrides", [("network.dropout=0.0",), ("network.negatives=20", "network.tied=false")])
def test_sasrec_learns(dataset, overrides):
    watched = Losses()
    made(SASRec, "training.learning_rate=0.01", *overrides).fit(dataset, observer=watched)
    assert watched.records[-1] < watched.records[0] - 0.1


@one_level
@pytest.mark.parametrize("kind", [TimeLSTM, SHRNN])
@pytest.mark.parametrize("variant", [0, 1, 2])
def test_time_lstm_and_s_hrnn_learn(dataset, kind, variant):
    options = {
        TimeLSTM: [("network.version=1",), ("network.version=2",), ("network.version=3",)],
        SHRNN: [("network.loss='cross_entropy'",), ("network.mode='all'",), ("network.idle_gap_seconds=20.0",)],
    }[kind][variant]
    watched = Losses()
    made(kind, *options, "training.epochs=3").fit(dataset, observer=watched)
    # TOP1 lies between 1/2 and 2, whatever the number of codes.
    top1 = kind is SHRNN and "loss" not in options[0]
    assert watched.records[-1] < watched.records[0] - (0.05 if top1 else 0.1)


@pytest.mark.parametrize("changed", ["regularization=0.0", "elu=0.3", "sample_alpha=0.0", "negatives=50"])
def test_every_option_of_bpr_max_counts(dataset, changed):
    histories, targets = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))

    def loss(*overrides: str) -> float:
        model = made(GRU4Rec, "network.loss='bpr_max'", *overrides).initialise(dataset)
        torch.nn.init.normal_(model.network["item"].tables.inputs.weight)
        torch.manual_seed(0)
        return float(model.losses(histories, targets)["item"].value.detach())

    assert loss() == loss()
    assert abs(loss(f"network.{changed}") - loss()) > 1e-3


@pytest.mark.parametrize(("kind", "loss"), [(GRU4Rec, "bpr_max"), (SHRNN, "top1")])
def test_a_session_alone_in_its_batch_is_a_loss_that_can_be_descended(dataset, kind, loss):
    model = made(kind, f"network.loss='{loss}'").initialise(dataset)
    losses = model.losses(*histories_and_targets(dataset, np.asarray(dataset.sessions("test"))[:1]))
    torch.stack([of.value for of in losses.values()]).sum().backward()
    assert all(torch.isfinite(of.value) for of in losses.values())


def test_a_learned_model_beats_popularity(shops):
    model = made(GRU4Rec, "network.hidden=32", "training.epochs=8").fit(shops[3])
    result = evaluate(model, shops[3], rows=("popularity",))
    assert result.rows["gru4rec"]["category_3"]["mrr@5"] > result.rows["popularity"]["category_3"]["mrr@5"] + 0.2


class Stop(Observer):
    def batch_done(self, sessions: int, loss: float) -> None:
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches == 9:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["gru4rec", "sasrec", "time-lstm", "s-hrnn", "rib"])
def test_an_interrupted_run_goes_on_to_the_same_weights(users, tmp_path, kind):
    """With dropout and drawn negatives, whose random state a checkpoint holds; on a log with users."""
    quick = [*QUICK, "network.negatives=16"] if kind != "rib" else [*QUICK, "embeddings.skipgram_epochs=1"]
    config = model_class(kind).options().changed(quick)
    whole = model_class(kind)(config).fit(users)
    with pytest.raises(KeyboardInterrupt):
        model_class(kind)(config).fit(users, out=tmp_path / "model", observer=Stop())
    resumed = model_class(kind)(config).fit(users, out=tmp_path / "model", resume=True)
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


# ---------------------------------------------------------------------- Time-LSTM


def test_the_last_interval_counts_where_it_is_kept(dataset):
    model = made(TimeLSTM).initialise(dataset)
    torch.manual_seed(0)
    for parameter in model.network.parameters():
        torch.nn.init.normal_(parameter.data, std=0.5)
    sessions = np.asarray(dataset.sessions("test"))
    masked, kept = (histories_and_targets(dataset, sessions, how)[0] for how in ("mask", "keep"))
    assert not torch.allclose(model.score(masked, "item").known, model.score(kept, "item").known)


# ---------------------------------------------------------------------- S-HRNN


@pytest.fixture(scope="module")
def users(tmp_path_factory) -> Dataset:
    """A log whose users come back."""
    folder = tmp_path_factory.mktemp("users")
    config = hup.SimulatorConfig(sessions=120, items=80, levels=1, mean_events=8, sessions_per_user=6, seed=5)
    hup.simulate(config, folder / "log.parquet", format="events")
    columns = ("user", "session", "event_id", "timestamp", "item", "behavior")
    mapped = "\n".join(f'{name} = "{name}"' for name in columns)
    (folder / "map.toml").write_text(f'[[tables]]\n{mapped}\n[categories]\ncolumns = ["category_1"]\n')
    return hup.prepare(folder / "log.parquet", map=folder / "map.toml", out=folder / "dataset")


def walk(network, codes: list[int], pauses: list[float], user: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of one history, sub-session by sub-session, and the user's state before the last one."""
    out, h = [], torch.tanh(network.start(user))
    for place, code in enumerate(codes):
        if place and pauses[place - 1] > network.gap:
            user = network.user(h, user)
            h = torch.tanh(network.start(user))
        x = network.tables.inputs(torch.tensor([code]))
        if network.mode == "all":
            x = torch.cat([x, user], dim=1)
        _, last = network.session(x.unsqueeze(0), h.unsqueeze(0))
        h = last[0]
        out.append(h)
    return torch.cat(out), user


@pytest.mark.parametrize("mode", ["init", "all"])
def test_sub_sessions_are_walked_one_after_the_other(dataset, mode):
    model = made(SHRNN, f"network.mode='{mode}'", "network.idle_gap_seconds=25.0").initialise(dataset)
    network = model.network["item"].eval()
    histories, _ = histories_and_targets(dataset, np.asarray(dataset.sessions("test")))
    steps = steps_of(histories, "item", network.tables.n_known)
    assert int((steps.runs.interval > 25).sum()) > 10
    user = torch.randn(len(histories), 8)
    hidden, before_last, last = network.walk(steps, user)
    for b, (low, high) in enumerate(pairwise(steps.runs.offsets.tolist())):
        expected, state = walk(
            network, steps.codes[low:high].tolist(), steps.runs.interval[low:high].tolist(), user[b : b + 1]
        )
        torch.testing.assert_close(hidden[low:high], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(before_last[b : b + 1], state, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(last[b], expected[-1], atol=1e-5, rtol=1e-4)


def test_users_bring_what_they_did_in_earlier_training_sessions(users):
    model = made(SHRNN, "training.epochs=1").fit(users)
    network = model.network["item"]
    train = np.asarray(users.sessions("train"))
    codes = users.user_codes
    # By hand: every user's training sessions in order, each begun with the state that those before it have left.
    state: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for session in train:
        histories, _ = histories_and_targets(users, np.array([session]))
        user = int(codes[session])
        begin = torch.zeros(1, 8)
        if user in state:
            begin = network.user(state[user][1], state[user][0])
        torch.testing.assert_close(network.states.before(histories, network.user), begin, atol=1e-5, rtol=1e-4)
        steps = steps_of(histories, "item", network.tables.n_known)
        _, before_last, last = network.walk(steps, begin)
        state[user] = (before_last, last)
    for user, (earlier, last) in state.items():
        torch.testing.assert_close(network.states.final[user], torch.cat([earlier, last]), atol=1e-5, rtol=1e-4)
    # A test session begins with what all of the user's training sessions have left; a stranger's with nothing.
    test = np.asarray(users.sessions("test"))
    known = [session for session in test if int(codes[session]) in state]
    assert known
    histories, _ = histories_and_targets(users, np.array(known))
    for row, session in enumerate(known):
        earlier, last = state[int(codes[session])]
        expected = network.user(last, earlier)[0]
        torch.testing.assert_close(network.states.before(histories, network.user)[row], expected, atol=1e-5, rtol=1e-4)
    stranger = Histories(**{**vars(histories), "user": torch.full((len(known),), -1)})
    assert not network.states.before(stranger, network.user).any()
    assert not torch.allclose(model.score(histories, "item").known, model.score(stranger, "item").known)


def test_user_states_are_saved(users, tmp_path):
    model = made(SHRNN, "training.epochs=1").fit(users)
    model.save_pretrained(tmp_path / "model")
    opened = hup.load(tmp_path / "model")
    histories, _ = histories_and_targets(users, np.asarray(users.sessions("test")))
    assert int((histories.user >= 0).sum()) > 0
    assert torch.equal(opened.score(histories, "item").known, model.score(histories, "item").known)

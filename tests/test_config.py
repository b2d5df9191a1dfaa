from __future__ import annotations

import pytest
from pydantic import ValidationError

from hup.config import Config, Training, preset_names
from hup.errors import HupError


def test_the_presets():
    assert preset_names() == ["authors", "best", "paper"]


def test_paper_is_what_the_paper_states():
    config = Config.preset("paper")
    assert config.name == "paper"
    sizes = config.embeddings
    assert (sizes.item, sizes.behavior, sizes.category, sizes.dwell, sizes.interval) == (30, 5, 8, 5, 5)
    assert (config.network.hidden, config.training.batch_size) == (100, 128)
    assert (config.loss.lambda_micro, config.loss.lambda_item, config.loss.lambda_category) == (0, 0.5, 0.5)
    assert sizes.targets == "skipgram", "trainable targets collapse under a loss without negatives"
    assert config.sessions.last_interval == "mask"


def test_authors_is_what_their_code_did():
    config = Config.preset("authors")
    assert (config.sessions.min_events, config.sessions.max_events, config.sessions.min_item_count) == (40, 40, 50)
    assert (config.embeddings.inputs, config.embeddings.targets) == ("item_targets", "skipgram")
    network = config.network
    assert network.hard_gates
    assert (network.attention_hidden, network.attention_tanh) == (20, True)
    assert network.head_tanh
    assert network.category_gates == "time"
    assert not network.category_attention_signal
    assert (config.training.optimizer, config.training.epochs) == ("rmsprop", 2)


@pytest.mark.parametrize(
    ("override", "section", "key", "expected"),
    [
        ("training.epochs=3", "training", "epochs", 3),
        (" training.learning_rate = 1e-2 ", "training", "learning_rate", 0.01),
        ("network.hard_gates=true", "network", "hard_gates", True),
        ("embeddings.targets=trainable", "embeddings", "targets", "trainable"),  # no TOML value, so text
        ('embeddings.targets="trainable"', "embeddings", "targets", "trainable"),
        ("loss.lambda_item=1", "loss", "lambda_item", 1.0),
        ("sessions.max_events=25", "sessions", "max_events", 25),
        ("sessions.max_events=0", "sessions", "max_events", None),  # 0 = whole sessions
    ],
)
@pytest.mark.parametrize("preset", preset_names())
def test_one_key_changes_and_no_other(preset, override, section, key, expected):
    config = Config.preset(preset, [override])
    assert getattr(getattr(config, section), key) == expected
    unchanged = Config.preset(preset)
    parts = getattr(unchanged, section).model_copy(update={key: expected})
    assert config == unchanged.model_copy(update={section: parts})


def test_the_last_override_of_a_key_wins():
    assert Config.preset("paper", ["training.seed=1", "training.seed=2"]).training.seed == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "There is no configuration key training.epoch. Keys there: epochs, batch_size, "),
        ("trainign.epochs=3", "There is no configuration key trainign. Keys there: sessions, training, name, "),
        ("network.gates.hard=1", "There is no configuration key network.gates. Keys there: hidden, single, "),
        ("training.epochs.most=3", "--set training.epochs.most: epochs is a value, not a section."),
        ("training.epochs=0", "Configuration key training.epochs: Input should be greater than 0."),
        ("training.epochs=many", "Configuration key training.epochs: Input should be a valid integer"),
        ("training.epochs=true", "Configuration key training.epochs: "),
        ("training.optimizer=sgd", "Configuration key training.optimizer: Input should be 'adam' or 'rmsprop'."),
        ("training.learning_rate=nan", "Configuration key training.learning_rate: "),
        ("loss.lambda_item=inf", "Configuration key loss.lambda_item: Input should be a finite number."),
        ("training.seed=-1", "Configuration key training.seed: Input should be greater than or equal to 0."),
        ("training.seed=4294967296", "Configuration key training.seed: Input should be less than"),
        ("sessions.max_events=-1", "Configuration key sessions.max_events: "),
        ("training=3", "Configuration key training: "),
        ("network.category_gates=dwell", "Configuration key network.category_gates: Input should be True, False or "),
        ("training.epochs", "--set 'training.epochs' is not of the form section.key=value"),
        ("=3", "--set '=3' is not of the form section.key=value"),
    ],
)
def test_a_wrong_override_is_told(override, message):
    with pytest.raises(HupError) as error:
        Config.preset("paper", [override])
    assert str(error.value).startswith(message)


def test_every_wrong_key_is_told_at_once():
    with pytest.raises(HupError) as error:
        Config.preset("paper", ["training.epochs=0", "network.width=3"])
    assert {line.split(":")[0] for line in str(error.value).splitlines()} == {
        "Configuration key training.epochs",
        "There is no configuration key network.width. Keys there",
    }


def test_a_loss_of_nothing_is_refused():
    with pytest.raises(HupError, match=r"Configuration key loss: .*above 0"):
        Config.preset("paper", ["loss.lambda_item=0", "loss.lambda_category=0"])


def test_an_unknown_preset_is_told_with_those_that_exist():
    with pytest.raises(HupError, match=r"There is no preset 'papers'. Presets: authors, best, paper\."):
        Config.preset("papers")


def test_nothing_can_be_changed_afterwards():
    config = Config.preset("paper")
    with pytest.raises(ValidationError):
        config.training.epochs = 3
    with pytest.raises(ValidationError):
        config.training = Config().training


@pytest.mark.parametrize("preset", preset_names())
def test_plain_dictionaries_and_back(preset):
    config = Config.preset(preset, ["training.seed=7"])
    assert Config.validated(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("sessions", "expected"), [(0, (32, 0.002)), (4999, (32, 0.002)), (5000, (64, 0.002828)), (10**9, (128, 0.004))]
)
def test_batches_of_best_grow_with_the_log(sessions, expected):
    size, rate = Config.preset("best").training.grown(sessions)
    assert (size, round(rate, 6)) == expected
    assert Config.preset("paper").training.grown(sessions) == (128, Config.preset("paper").training.learning_rate)


@pytest.mark.parametrize(
    ("patience", "steps", "sessions", "epochs"),
    [(6, 0, 100, 6), (6, 128, 100, 32), (6, 128, 700, 6), (6, 128, 30_000, 6), (3, 10, 32, 10)],
)
def test_a_small_log_gets_its_steps_before_training_stops(patience, steps, sessions, epochs):
    training = Training(batch_size=32, patience=patience, patience_steps=steps)
    assert [training.has_waited(n, sessions) for n in (epochs - 1, epochs)] == [False, True]
    assert not Training(patience=0).has_waited(1000, sessions)

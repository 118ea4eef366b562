import itertools
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from pipelines.training.fitting import Limits, fit
from pipelines.training.trail import Trail
from recsys.errors import TrainingError
from recsys.progress import Silent

SIGNATURE = {"target": tf.TensorSpec([None])}


class Level(tfrs.Model):
    """One weight that training moves towards the targets."""

    def __init__(self):
        super().__init__()
        self.level = self.add_weight("level", (), initializer="zeros")
        self.compile(optimizer=tf.keras.optimizers.SGD(0.25))

    def compute_loss(self, inputs, training=False):
        return tf.reduce_mean(tf.square(self.level - inputs["target"]))


class Heard(Silent):
    def __init__(self):
        self.epochs, self.notes = [], []

    def advance(self, done, **figures):
        self.epochs.append((done, figures))

    def note(self, text):
        self.notes.append(text)


def batches(epoch):
    return [{"target": np.array([8.0], np.float32)}]


def run(values, limits, epoch_batches=batches, progress=None):
    """Fits while validation tells `values`; each epoch moves the level half the way to 8: 4, 6, 7, 7.5, …"""
    model = Level()
    told = iter(values)
    report = fit(model, epoch_batches, SIGNATURE, lambda: next(told), limits, progress or Silent())
    return report, float(model.level)


def test_the_weights_that_validated_best_are_kept_and_patience_ends_the_fit():
    report, level = run([0.1, 0.2, 0.5, 0.4, 0.3], Limits(max_epochs=10, patience=2, max_seconds=60))
    assert (report.best_value, report.best_epoch, report.num_epochs) == (0.5, 2, 4)
    assert level == 6.0


def test_initial_weights_are_kept_where_training_never_helps():
    report, level = run([0.9, 0.2, 0.9], Limits(max_epochs=10, patience=2, max_seconds=60))
    assert (report.best_epoch, level) == (0, 0.0)


def test_the_number_of_epochs_is_limited():
    report, level = run(itertools.count(), Limits(max_epochs=3, patience=2, max_seconds=60))
    assert (report.num_epochs, level) == (3, 7.0)


def test_the_clock_ends_an_epoch_in_its_middle_and_says_so():
    def endless(epoch):
        return itertools.repeat({"target": np.array([8.0], np.float32)})

    heard = Heard()
    report, level = run(itertools.count(), Limits(10, 2, max_seconds=0.01), endless, heard)
    assert report.num_epochs == 1
    assert level > 0.0
    assert heard.notes == ["Stopped after 1 epochs by the clock (0 s)."]


def test_each_epoch_is_told_with_its_loss_and_validation():
    heard = Heard()
    run([0.0, 0.25, 0.5], Limits(2, 2, 60), progress=heard)
    assert heard.epochs == [
        (1, {"loss": 64.0, "validation_ndcg_at_10": 0.25}),
        (2, {"loss": 16.0, "validation_ndcg_at_10": 0.5}),
    ]


def test_a_diverged_loss_is_refused():
    with pytest.raises(TrainingError, match="Expected a finite loss, got nan after 0 steps"):
        run([0.0], Limits(2, 2, 60), lambda epoch: [{"target": np.array([np.nan], np.float32)}])


def test_an_epoch_without_examples_is_refused():
    with pytest.raises(TrainingError, match="Expected training examples, got none"):
        run([0.0], Limits(2, 2, 60), lambda epoch: [])


def test_the_average_of_the_weights_is_judged_and_kept_and_training_goes_on_from_the_weights_themselves():
    report, level = run(itertools.count(), Limits(max_epochs=2, patience=2, max_seconds=60, momentum=0.999))
    assert report.best_epoch == 2
    first, second = 4.0, 6.0
    assert level == pytest.approx(first * (1 / 11) + second * (10 / 11))


class CutOffError(Exception):
    """Stands for the end of a process after an epoch was kept."""


class Cut(Heard):
    """Ends the fit when it tells of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.last = epoch

    def advance(self, done, **figures):
        super().advance(done, **figures)
        if done == self.last:
            raise CutOffError


VALUES = (0.1, 0.4, 0.2, 0.6, 0.5, 0.3)


def fit_adam(trail, progress, values=VALUES):
    """Fits with slots, a step count and an average, on other targets each epoch; returns all that a fit changes."""
    model = Level()
    model.compile(optimizer=tf.keras.optimizers.Adam(0.1))
    told = iter(values)

    def epoch_batches(epoch):
        rng = np.random.default_rng(epoch)
        return [{"target": rng.normal(8, 1, 3).astype(np.float32)} for _ in range(4)]

    limits = Limits(5, 5, 60, momentum=0.9)
    report = fit(model, epoch_batches, SIGNATURE, lambda: next(told), limits, progress, trail)
    state = [variable.numpy().tobytes() for variable in [*model.weights, *model.optimizer.variables]]
    return report, state


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_fit_that_was_cut_off_goes_on_to_the_very_same_weights(tmp_path, epoch):
    whole, expected = fit_adam(None, Heard())
    trail = Trail(tmp_path / "checkpoints", tmp_path / "curves")
    with pytest.raises(CutOffError):
        fit_adam(trail, Cut(epoch))
    heard = Heard()
    resumed, state = fit_adam(trail, heard, VALUES[epoch + 1 :])
    assert state == expected
    assert (resumed.best_value, resumed.best_epoch, resumed.num_epochs) == (0.6, 3, 5)
    assert (whole.best_value, whole.best_epoch, whole.num_epochs) == (0.6, 3, 5)
    assert heard.notes == [f"Goes on after epoch {epoch}, which an earlier run had finished."]
    assert [number for number, _ in heard.epochs] == list(range(epoch + 1, 6))


def test_a_fit_without_a_cut_is_the_same_with_a_trail(tmp_path):
    assert fit_adam(Trail(tmp_path / "a", tmp_path / "b"), Heard())[1] == fit_adam(None, Heard())[1]


def test_the_clock_counts_the_seconds_of_the_run_before(tmp_path):
    trail = Trail(tmp_path / "checkpoints", tmp_path / "curves")

    def validate_slowly():
        time.sleep(0.2)
        return 1.0

    def run_level(progress, limits):
        return fit(Level(), batches, SIGNATURE, validate_slowly, limits, progress, trail)

    with pytest.raises(CutOffError):
        run_level(Cut(2), Limits(9, 9, max_seconds=60))
    heard = Heard()
    report = run_level(heard, Limits(9, 9, max_seconds=0.3))
    assert (report.num_epochs, heard.epochs) == (2, [])
    assert report.seconds >= 0.4
    assert heard.notes[-1] == "Stopped after 2 epochs by the clock (0 s)."

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from pipelines.training.fitting import Limits, fit
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

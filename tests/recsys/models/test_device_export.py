"""The exported device tower scores, trains, saves and restores as the Keras tower does, by LiteRT alone."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from recsys.errors import BundleError
from recsys.models.device_export import DEVICE_INT8_BOUND, export_device_tower, export_device_training
from recsys.models.device_gradients import DeviceBatch, flatten_weights
from recsys.models.device_tower import build_device_tower
from recsys.runtime.signatures import Signatures
from recsys.runtime.tower import Tower
from tests.recsys.models.conftest import DEVICE, DIM
from tests.recsys.models.test_device_gradients import NUM_CANDIDATES, NUM_LISTS, draw_batch, tape_gradient

SETTINGS = DEVICE.model_copy(update={"num_candidates": NUM_CANDIDATES, "batch_size": NUM_LISTS})
LEARNING_RATE = np.float32(0.3)


def draw_list(rng, count):
    batch = draw_batch(rng, num_lists=1, seen=(count % (DEVICE.history_length + 1),))
    drawn = {name: getattr(batch, name) for name in ("query", "history", "history_mask")}
    candidates = rng.normal(size=(1, count, DIM)).astype(np.float32)
    return {**drawn, "candidates": candidates, "cloud_scores": rng.normal(size=(1, count)).astype(np.float32)}


def train(model, batch):
    return model.run("train", learning_rate=LEARNING_RATE, **batch._asdict())["loss"]


def step_in_keras(tower, batch):
    """One step of the optimizer that the rounds use, through the tape."""
    loss, flat = tape_gradient(tower, batch)
    sizes = np.cumsum([int(np.prod(weight.shape)) for weight in tower.trainable_weights])[:-1]
    gradients = [
        tf.reshape(part, weight.shape)
        for part, weight in zip(np.split(flat, sizes), tower.trainable_weights, strict=True)
    ]
    tf.keras.optimizers.SGD(float(LEARNING_RATE)).apply_gradients(
        list(zip(gradients, tower.trainable_weights, strict=True))
    )
    return loss


@pytest.fixture
def exported(device_tower, shuffle_weights):
    return export_device_training(shuffle_weights(device_tower), SETTINGS)


def test_both_towers_score_lists_of_any_length_as_the_keras_tower_does(exported, device_tower, rng):
    towers = [Tower(exported, "infer"), Tower(export_device_tower(device_tower), "rerank")]
    for count in (1, 7, 20, 2):
        given = draw_list(rng, count)
        for tower in towers:
            np.testing.assert_allclose(tower(**given)["score"], device_tower(given)["score"], atol=1e-5)


def test_training_by_the_interpreter_follows_keras_step_by_step(exported, device_tower, rng):
    model = Signatures(exported)
    start = flatten_weights(device_tower)
    for step in range(8):
        batch = draw_batch(rng, num_short=step % 3, num_absent=step % 4)
        assert train(model, batch) == pytest.approx(step_in_keras(device_tower, batch), abs=1e-5)
        np.testing.assert_allclose(model.run("save")["weights"], flatten_weights(device_tower), atol=1e-5)
    assert np.abs(flatten_weights(device_tower) - start).max() > 0.01


def test_training_moves_the_scores(exported, device_tower, rng):
    model, batch, given = Signatures(exported), draw_batch(rng), draw_list(rng, 7)
    before = model.run("infer", **given)["score"]
    train(model, batch)
    step_in_keras(device_tower, batch)
    after = model.run("infer", **given)["score"]
    np.testing.assert_allclose(after, device_tower(given)["score"], atol=1e-5)
    assert np.abs(after - before).max() > 1e-3


def test_a_fresh_interpreter_has_the_towers_weights_to_the_last_bit(exported, device_tower):
    np.testing.assert_array_equal(Signatures(exported).run("save")["weights"], flatten_weights(device_tower))


def test_restored_weights_are_those_that_were_saved_to_the_last_bit(exported, rng):
    model, other, given = Signatures(exported), Signatures(exported), draw_list(rng, 7)
    train(model, draw_batch(rng))
    weights = model.run("save")["weights"]
    assert weights.dtype == np.float32
    other.run("restore", weights=weights)
    np.testing.assert_array_equal(other.run("save")["weights"], weights)
    np.testing.assert_array_equal(other.run("infer", **given)["score"], model.run("infer", **given)["score"])
    own = Tower(exported, "infer")
    own.restore(weights)
    np.testing.assert_array_equal(own(**given)["score"], model.run("infer", **given)["score"])


def test_one_interpreters_training_does_not_touch_another(exported, rng):
    model, other = Signatures(exported), Signatures(exported)
    before = other.run("save")["weights"]
    train(model, draw_batch(rng))
    np.testing.assert_array_equal(other.run("save")["weights"], before)


def test_it_needs_built_in_operations_alone(exported):
    interpreter = Interpreter(model_content=exported)
    names = {details["op_name"] for details in interpreter._get_ops_details()}
    assert not [name for name in names if name.startswith("Flex") or name == "CUSTOM"]
    assert {"VAR_HANDLE", "ASSIGN_VARIABLE", "BATCH_MATMUL"} & names


def test_its_signatures_are_these_and_take_the_fields_of_a_batch(exported):
    model = Signatures(exported)
    assert model.names == ("infer", "restore", "save", "train")
    shapes = model.input_shapes("train")
    assert set(shapes) == {*DeviceBatch._fields, "learning_rate"}
    assert shapes["candidates"] == (NUM_LISTS, NUM_CANDIDATES, DIM)


def test_weights_of_another_length_are_refused(exported):
    with pytest.raises(BundleError, match=r"Expected 'weights' \[\d+\] for tower signature 'restore', got \[3\]"):
        Signatures(exported).run("restore", weights=np.zeros(3, np.float32))


@pytest.mark.parametrize(
    "export",
    [
        export_device_tower,
        lambda tower: export_device_tower(tower, int8=True),
        lambda tower: export_device_training(tower, SETTINGS),
    ],
)
def test_equal_towers_give_equal_bytes(export):
    assert export(build_device_tower(DIM, DEVICE, seed=3)) == export(build_device_tower(DIM, DEVICE, seed=3))


def test_the_int8_tower_keeps_within_its_bound_and_takes_less_than_half_the_bytes(shuffle_weights, rng):
    settings = DEVICE.model_copy(update={"hidden_units": (32, 16)})
    tower = shuffle_weights(build_device_tower(64, settings))
    coarse = export_device_tower(tower, int8=True)
    assert len(coarse) < len(export_device_training(tower, settings)) / 2
    rerank, distances = Tower(coarse, "rerank"), []
    for seen in (0, 1, 5):
        mask = (np.arange(DEVICE.history_length) >= DEVICE.history_length - seen).astype(np.float32)[None]
        given = {
            "candidates": rng.normal(size=(1, 100, 64)).astype(np.float32),
            "cloud_scores": rng.normal(size=(1, 100)).astype(np.float32),
            "query": rng.normal(size=(1, 64)).astype(np.float32),
            "history": rng.normal(size=(1, DEVICE.history_length, 64)).astype(np.float32),
            "history_mask": mask,
        }
        exact = tower(given)["score"].numpy()
        distances.append(np.abs(rerank(**given)["score"] - exact).max() / exact.std())
    assert max(distances) < DEVICE_INT8_BOUND
    assert max(distances) > 1e-4  # or nothing was rounded

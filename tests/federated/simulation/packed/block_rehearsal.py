"""Rounds of people whose towers are of several sizes beside the same by hand, one small Keras tower after the other.

python -m tests.federated.simulation.packed.block_rehearsal FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.device.examples import LocalExamples
from federated.simulation.algorithms.hetero_fl import compose_blocks, train_blocks
from federated.simulation.algorithms.registry import ALGORITHMS
from federated.simulation.execution import execute_on
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields, to_fields
from federated.simulation.packed.store import hold_store, write_table
from federated.simulation.packed.sub_block import SIZE_FIELD, size_of_examples
from federated.simulation.packed.training import LocalTraining
from federated.simulation.worker import run_worker
from recsys.config.federated import DeviceSettings, RoundSettings
from recsys.models.device_tower import build_device_tower
from recsys.models.sub_block import mask_weights, shrink

DIM, NUM_ITEMS, NUM_ROUNDS = 5, 30, 2
SIZES = (0.25, 0.5, 1.0)
DEVICE = DeviceSettings(
    history_length=4, hidden_units=(8, 6), num_candidates=6, batch_size=3, local_epochs=2, learning_rate=0.3
)
COUNTS = (1, 7, 3, 5, 2, 6, 4, 3, 1)
SIZE_OF = (0, 1, 2, 0, 1, 2, 0, 1, 0)


def draw(count: int, rng: np.random.Generator) -> LocalExamples:
    return LocalExamples(
        candidates=np.stack([rng.permutation(NUM_ITEMS)[:6] + 1 for _ in range(count)]).astype(np.int32),
        cloud_scores=rng.standard_normal((count, 6), np.float32),
        query=rng.standard_normal((count, DIM), np.float32),
        history=rng.integers(1, NUM_ITEMS, (count, 4)).astype(np.int32),
        target=rng.dirichlet(np.ones(6), count).astype(np.float32),
    )


def descend(tower: tf.keras.Model, examples: LocalExamples, vectors: np.ndarray) -> None:
    """Local epochs of plain gradient descent."""
    for _ in range(DEVICE.local_epochs):
        for first in range(0, len(examples), DEVICE.batch_size):
            rows = slice(first, first + DEVICE.batch_size)
            with tf.GradientTape() as tape:
                inputs = {
                    "candidates": vectors[examples.candidates[rows]],
                    "cloud_scores": examples.cloud_scores[rows],
                    "query": examples.query[rows],
                    "history": vectors[examples.history[rows]],
                    "history_mask": np.ones((len(examples.target[rows]), 4), np.float32),
                }
                losses = tf.nn.softmax_cross_entropy_with_logits(examples.target[rows], tower(inputs)["score"])
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, tower.trainable_weights)
            for variable, gradient in zip(tower.trainable_weights, gradients, strict=True):
                variable.assign_sub(DEVICE.learning_rate * gradient)


def average_by_hand(start, people, sizes, vectors) -> list[np.ndarray]:
    """Each person trains a tower of their own size; each weight is averaged over those who have it."""
    total, weight = [np.zeros_like(array) for array in start], [np.zeros_like(array) for array in start]
    for examples, size in zip(people, sizes, strict=True):
        tower = build_device_tower(DIM, shrink(DEVICE, SIZES[size]))
        for variable, array in zip(tower.trainable_weights, start, strict=True):
            variable.assign(array[tuple(slice(length) for length in variable.shape)])
        descend(tower, examples, vectors)
        for place, variable in enumerate(tower.trainable_weights):
            block = tuple(slice(length) for length in variable.shape)
            total[place][block] += len(examples) * variable.numpy()
            weight[place][block] += len(examples)
    return [np.where(w > 0, t / np.maximum(w, 1), s) for s, t, w in zip(start, total, weight, strict=True)]


def run(process, start, packs) -> list[np.ndarray]:
    given = tff.learning.models.ModelWeights(trainable=start, non_trainable=[])
    state = process.set_model_weights(process.initialize(), given)
    for _ in range(NUM_ROUNDS):
        state = process.next(state, packs).state
    return [np.asarray(array) for array in process.get_model_weights(state).trainable]


def distance(one, other) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))


def compare(folder: Path) -> dict:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([np.zeros((1, DIM)), rng.standard_normal((NUM_ITEMS, DIM))]).astype(np.float32)
    people = [draw(count, rng) for count in COUNTS]
    start = [weight.numpy() for weight in build_device_tower(DIM, DEVICE).trainable_weights]
    start = [(array + 0.1 * rng.standard_normal(array.shape)).astype(np.float32) for array in start]
    masks = [np.stack(own) for own in zip(*(mask_weights(DIM, DEVICE, size) for size in SIZES), strict=True)]
    fields = example_fields(DIM, DEVICE) | SIZE_FIELD
    with (
        hold_store(folder / "examples", fields, sum(COUNTS)) as store,
        run_worker(folder / "worker.log", 120.0) as worker,
        execute_on(worker),
    ):
        extents = {
            str(place): store.add(str(place), to_fields(own) | size_of_examples(SIZE_OF[place], len(own)))
            for place, own in enumerate(people)
        }
        tower = PackedDeviceTower(write_table(folder / "examples" / "vectors.bin", vectors), DEVICE)
        training = train_blocks(LocalTraining(tower, store.columns, 3, 2, DEVICE.learning_rate), masks)
        builds = {name: ALGORITHMS[name] for name in ("fed_avg", "fed_prox", "fed_adam")}
        processes = {name: build(training, RoundSettings(), compose_blocks(masks)) for name, build in builds.items()}
        smallest = {name: extent for name, extent in extents.items() if SIZE_OF[int(name)] == 0}
        packs, alone, small = (
            [to_dataset(pack) for pack in cut_cohort(*cut)] for cut in ((extents, 4), (extents, 1), (smallest, 4))
        )
        ended = run(processes["fed_avg"], start, packs)
        apart = run(processes["fed_avg"], start, alone)
        of_small = {name: run(process, start, small) for name, process in processes.items()}
    expected = start
    for _ in range(NUM_ROUNDS):
        expected = average_by_hand(expected, people, SIZE_OF, vectors)
    return {
        "moved": distance(ended, start),
        "off_by": distance(ended, expected),
        "packs_off_by": distance(ended, apart),
        "all_weights_moved": all(bool((a != b).any()) for a, b in zip(ended, start, strict=True)),
        "outside": {
            name: max(
                float(np.abs((a - b) * (1 - mask[0])).max()) for a, b, mask in zip(found, start, masks, strict=True)
            )
            for name, found in of_small.items()
        },
        "inside": {name: distance(found, start) for name, found in of_small.items()},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compare(Path(sys.argv[1]))) + "\n")

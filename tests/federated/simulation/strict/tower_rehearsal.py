"""Rounds of a sequence tower by TFF beside plain ones, in a process of its own: TFF takes seconds to load.

python -m tests.federated.simulation.strict.tower_rehearsal FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from federated.device.sequence import SequenceWeights
from federated.device.submodel import Submodel
from federated.simulation.strict.sequence_tower import ask_each
from federated.simulation.strict.tower_rounds import draw_cohort, learn_tower, start_weights
from recsys.config.federated import StrictTowerSettings
from recsys.progress import Silent

NUM_ITEMS, NUM_DEVICES = 12, 9
SETTINGS = StrictTowerSettings(
    dim=4,
    history_length=5,
    num_heads=2,
    head_dim=3,
    num_negatives=3,
    num_rounds=3,
    devices_per_round=6,
    local_epochs=2,
    learning_rate=0.3,
    users_per_pack=4,
)
SLOWER = (1, 1, 2 / 3)
"""Of the server's rate in each round: from half of them on it falls evenly, to 0 behind the last."""


def draw_histories() -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.integers(-1, NUM_ITEMS, rng.integers(4, 12)).astype(np.int32) for _ in range(NUM_DEVICES)]


def draw_weights(rng: np.random.Generator, settings: StrictTowerSettings) -> SequenceWeights:
    """Weights of which none is zero."""
    start = start_weights(np.ones((NUM_ITEMS, NUM_ITEMS), np.int64), np.ones(NUM_ITEMS, np.int64), settings, 0)
    return SequenceWeights(*(rng.normal(0, 0.5, np.shape(part)).astype(np.float32) for part in start))


def train_alone(
    start: SequenceWeights, submodel: Submodel, settings: StrictTowerSettings, clip_norm: float = 0.0
) -> list[np.ndarray]:
    """One person's update of whole tables, by gradient descent on all weights; items outside the submodel are out."""
    variables = [tf.Variable(part) for part in start]
    filled = submodel.offsets > -1e8
    offsets = np.full(NUM_ITEMS, -1e9, np.float32)
    offsets[submodel.rows[filled]] = submodel.offsets[filled]
    steps = int(submodel.present.sum())
    chosen, following = (submodel.rows[places[:steps]] for places in (submodel.inputs, submodel.targets))
    for _ in range(settings.local_epochs):
        with tf.GradientTape() as tape:
            weights = SequenceWeights(*(tf.convert_to_tensor(part)[None] for part in variables))
            asked = ask_each(weights, tf.gather(weights.rows, chosen, axis=1))[0]
            scores = tf.matmul(asked, variables[0], transpose_b=True) * tf.exp(variables[-1]) + variables[1] + offsets
            log_chances = tf.nn.log_softmax(scores)
            loss = -tf.reduce_mean(tf.gather(log_chances, following, batch_dims=1))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(settings.learning_rate * gradient)
    update = [np.asarray(before) - after.numpy() for before, after in zip(start, variables, strict=True)]
    length = float(np.sqrt(sum(np.sum(part**2) for part in update)))
    return [part * min(1.0, clip_norm / length) if clip_norm else part for part in update]


def learn_plainly(histories: list[np.ndarray], start: SequenceWeights, counts: np.ndarray) -> list[np.ndarray]:
    """Rounds of FedSubAvg with Adam, a person at a time."""
    weights = [np.asarray(part, np.float64) for part in start]
    momenta, squares = ([np.zeros_like(part) for part in weights] for _ in range(2))
    likely = counts + (len(histories) - counts) * SETTINGS.num_negatives / NUM_ITEMS
    factors = len(histories) / np.maximum(likely, 1.0)
    momentum, decay = SETTINGS.adaptive_momentum, SETTINGS.adaptive_decay
    for number in range(1, SETTINGS.num_rounds + 1):
        sent = SequenceWeights(*(part.astype(np.float32) for part in weights))
        cohort = draw_cohort(histories, NUM_ITEMS, SETTINGS, 5, number)
        updates = [train_alone(sent, submodel, SETTINGS) for _, submodel in cohort]
        for place, parts in enumerate(zip(*updates, strict=True)):
            mean = np.mean(parts, axis=0)
            if place < 2:
                mean = (mean.T * factors).T
            momenta[place] = momentum * momenta[place] + (1 - momentum) * mean
            squares[place] = decay * squares[place] + (1 - decay) * mean**2
            # TFF corrects the bias of the first rounds by the rate, so that the floor counts for more in them.
            rate = (
                SLOWER[number - 1]
                * SETTINGS.adaptive_learning_rate
                * np.sqrt(1 - decay**number)
                / (1 - momentum**number)
            )
            scale = np.sqrt(squares[place]) + SETTINGS.adaptive_floor
            weights[place] = weights[place] - rate * momenta[place] / scale
    return weights


def distance(one, other) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))


def main(folder: Path) -> None:
    histories = draw_histories()
    chosen = [np.unique(history[history >= 0]) for history in histories]
    counts = np.bincount(np.concatenate(chosen), minlength=NUM_ITEMS)
    start = draw_weights(np.random.default_rng(2), SETTINGS)

    def learn(users_per_pack: int):
        settings = SETTINGS.model_copy(update={"users_per_pack": users_per_pack})
        return learn_tower(histories, start, counts, folder, settings, worker_start_s=60.0, seed=5, progress=Silent())

    packed, at_once, expected = learn(4), learn(100), learn_plainly(histories, start, counts)
    json.dump(
        {
            "off_by": distance(packed.weights, expected),
            "moved": distance(packed.weights, start),
            "cuts_off_by": distance(packed.weights, at_once.weights),
            "num_uploads": packed.num_uploads,
            "num_losses": len(packed.losses),
            "left": sorted(path.name for path in folder.iterdir()),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Rounds written out, one person after another, in plain Keras and numpy: what packed rounds are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from federated.device.examples import LocalExamples
from recsys.config.federated import DeviceSettings

ABSENT = -1e9


def descend(tower, start, client: LocalExamples, vectors, device: DeviceSettings) -> list[np.ndarray]:
    """Weights after a person's local gradient descent; behind those of the tower there may be a bias of each item."""
    weights = [tf.Variable(array) for array in start]
    num_dense = len(tower.trainable_weights)
    for _ in range(device.local_epochs):
        for first in range(0, len(client), device.batch_size):
            rows = slice(first, first + device.batch_size)
            for variable, weight in zip(tower.trainable_weights, weights, strict=False):
                variable.assign(weight)
            watched = [*tower.trainable_weights, *weights[num_dense:]]
            with tf.GradientTape() as tape:
                scores = tower(
                    {
                        "candidates": vectors[client.candidates[rows]],
                        "cloud_scores": client.cloud_scores[rows],
                        "query": client.query[rows],
                        "history": vectors[client.history[rows]],
                        "history_mask": (client.history[rows] > 0).astype(np.float32),
                    }
                )["score"]
                for item_bias in weights[num_dense:]:
                    scores += tf.gather(item_bias, client.candidates[rows])
                scores = tf.where(client.candidates[rows] > 0, scores, ABSENT)
                loss = tf.reduce_mean(
                    tf.nn.softmax_cross_entropy_with_logits(labels=client.target[rows], logits=scores)
                )
            for weight, gradient in zip(weights, tape.gradient(loss, watched), strict=True):
                weight.assign_sub(device.learning_rate * tf.convert_to_tensor(gradient))
    return [weight.numpy() for weight in weights]


def train_rows(
    tower, start, examples: Mapping[str, LocalExamples], cohorts: Sequence[Sequence[str]], vectors, settings
) -> tuple[list[np.ndarray], int]:
    """Ding et al.'s FedSubAvg written out, and how many updates were longer than allowed; the last weight is the table.

    A person's update is shortened to the bound, counts as often as it has examples, and of the mean each row of the
    table is multiplied with how many people there are for each who involves it.
    """
    heat = np.zeros(len(vectors))
    for client in examples.values():
        heat[list(set(client.candidates.flatten().tolist()))] += 1
    weights, num_clipped = list(start), 0
    for cohort in cohorts:
        total, num_examples = [np.zeros_like(array) for array in start], 0
        for user_id in cohort:
            client = examples[user_id]
            ended = descend(tower, weights, client, vectors, settings.device)
            update = [begin - end for begin, end in zip(weights, ended, strict=True)]
            norm = np.sqrt(sum(np.sum(np.square(part, dtype=np.float64)) for part in update))
            num_clipped += norm > settings.rounds.clip_norm
            scale = len(client) * min(1.0, settings.rounds.clip_norm / norm)
            total = [so_far + scale * part for so_far, part in zip(total, update, strict=True)]
            num_examples += len(client)
        mean = [part / num_examples for part in total]
        mean[-1] = mean[-1] * len(examples) / np.maximum(heat, 1)
        rate = settings.rounds.server_learning_rate
        weights = [np.float32(weight - rate * part) for weight, part in zip(weights, mean, strict=True)]
    return weights, int(num_clipped)

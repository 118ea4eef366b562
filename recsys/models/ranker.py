"""The cloud's ranker: scores a list of retrieved candidates, for several tasks at once.

      features, query × candidate
                 │
        cross layers (DCN-v2)
          ┌──────┼──────┐
      expert  expert  expert      dense layers, shared by all tasks
          └──────┼──────┘
         gate per task (MMoE)
          ┌──────┴──────┐
        click   …     gift        log-odds per task: of a click, and of all else given a click, calibrated;
                                  the score is the log-odds of the weighted mean of the tasks' chances

DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems, Wang et al.,
WWW 2021. Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts, Ma et al., KDD 2018.
Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate, Ma et al., SIGIR 2018.
Deviations: the retrieval score is added to each task's output, so that it learns a correction and starts from none;
the experts lie over shared cross layers; a task's tower is one layer; a single task has one expert and no gate; what
follows a click is fitted to clicks instead of to all that was shown, which is the same likelihood. Only the click is
learned of candidates that were never shown, so that it is the click that says what of them stands first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from recsys.config.cloud import RankerSettings
from recsys.contracts.arrays import Float32Array, Float64Array
from recsys.errors import TrainingError
from recsys.features.ranking import RANKING_FEATURES
from recsys.features.tasks import CHOICE_TASK
from recsys.models.losses import joint_log_odds, listwise_loss, weighted_log_odds
from recsys.models.weights import decode_weights

_CORRECTION = "correction_"
_RETRIEVAL_SCORE = RANKING_FEATURES.index("retrieval_score")


class Ranker(tfrs.Model):
    """Cross layers, then a mixture of experts per task, over the features and the products of query and candidate.

    An untrained ranker keeps the order of retrieval: its last layer starts at zero.
    """

    def __init__(self, dim: int, settings: RankerSettings, tasks: Sequence[str] = (CHOICE_TASK,)) -> None:
        """Builds the layers.

        Args:
          dim: Length of a vector.
          settings: Sizes, and the weights of the tasks.
          tasks: Out of `recsys.features.tasks.TASKS`; the first is `CHOICE_TASK`.

        Raises:
          TrainingError: If none of the tasks has any weight.
        """
        super().__init__(name="ranker")
        self.dim, self.tasks = dim, tuple(tasks)
        self._task_weights = np.array([getattr(settings.task_weights, task) for task in tasks], np.float32)
        if not self._task_weights.sum() > 0:
            raise TrainingError(
                f"Expected a weight above 0 for one of the tasks {list(tasks)}, got none. Raise it in `task_weights`."
            )
        num_features, num_tasks = len(RANKING_FEATURES), len(tasks)
        self._mean = self.add_weight("feature_mean", (num_features,), trainable=False, initializer="zeros")
        self._deviation = self.add_weight("feature_deviation", (num_features,), trainable=False, initializer="ones")
        self._slope = self.add_weight("calibration_slope", (num_tasks,), trainable=False, initializer="ones")
        self._offset = self.add_weight("calibration_offset", (num_tasks,), trainable=False, initializer="zeros")
        self._retrieval_weight = self.add_weight("retrieval_weight", (num_tasks,), initializer="zeros")
        self._retrieval_weight.assign(np.eye(1, num_tasks)[0])  # what follows a click starts from even odds
        self._bias = self.add_weight("bias", (num_tasks,), initializer="zeros")
        self._build_layers(settings)
        self.built = True

    def _build_layers(self, settings: RankerSettings) -> None:
        num_experts = settings.num_experts if len(self.tasks) > 1 else 1
        dense = tf.keras.layers.Dense
        self._match = dense(settings.match_units, name="match") if settings.match_units else None
        if self._match is not None:
            self._match.build((None, None, self.dim))
        tf.keras.backend.reset_uids()  # a cross layer numbers its inner one by it: equal rankers, equal exports
        self._cross = [tfrs.layers.dcn.Cross(name=f"cross_{number}") for number in range(settings.num_cross_layers)]
        self._experts = [
            [
                dense(units, activation="relu", name=f"expert_{expert}_hidden_{number}")
                for number, units in enumerate(settings.hidden_units)
            ]
            for expert in range(num_experts)
        ]
        gated = self.tasks if num_experts > 1 else ()
        self._gates = [dense(num_experts, activation="softmax", name=f"gate_{task}") for task in gated]
        self._corrections = [
            dense(1, use_bias=False, kernel_initializer="zeros", name=f"{_CORRECTION}{task}") for task in self.tasks
        ]
        self._correct(tf.zeros((1, 1, len(RANKING_FEATURES) + settings.match_units)))

    def adapt(self, features: Float32Array) -> None:
        """Takes the mean and the deviation of each feature from training lists.

        Args:
          features: `[num_lists, num_candidates, num_features]` float32.

        Raises:
          TrainingError: If there are none, they are not finite, or of another number than the ranker reads.
        """
        rows = features.reshape(-1, features.shape[-1])
        if features.shape[-1] != len(RANKING_FEATURES) or len(rows) == 0 or not np.isfinite(rows).all():
            raise TrainingError(
                f"Expected finite ranking features [num_lists, num_candidates, {len(RANKING_FEATURES)}], "
                f"got {list(features.shape)}. Are the item vectors finite?"
            )
        deviation = rows.std(axis=0, dtype=np.float64)
        self._mean.assign(rows.mean(axis=0, dtype=np.float64))
        self._deviation.assign(np.where(deviation > 1e-6, deviation, 1.0))

    def calibrate(self, slopes: Float64Array, offsets: Float64Array) -> None:
        """Sets what calibrates each task's output: `slope * output + offset`, both `[num_tasks]`.

        Raises:
          TrainingError: If a slope is not above 0, which would turn the order of candidates round.
        """
        if not (np.isfinite(offsets).all() and (slopes > 0).all()):
            raise TrainingError(f"Expected finite offsets and slopes above 0, got {list(offsets)} and {list(slopes)}.")
        self._slope.assign(slopes)
        self._offset.assign(offsets)

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns a score per candidate, `[batch, num_candidates]` float32: log-odds of the tasks' weighted mean.

        Args:
          inputs: `query` `[batch, dim]`, `candidates` `[batch, num_candidates, dim]` and
            `features` `[batch, num_candidates, num_features]` (see `ranking_features`), all float32.
        """
        return self.combine(self.log_odds(inputs))

    def combine(self, log_odds: tf.Tensor) -> tf.Tensor:
        """Returns the score `[batch, num_candidates]` of log-odds per task `[batch, num_candidates, num_tasks]`."""
        return weighted_log_odds(log_odds, self._task_weights)

    def log_odds(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns calibrated log-odds that each task is fulfilled, `[batch, num_candidates, num_tasks]` float32."""
        return self.log_odds_of(self.outputs_of(inputs))

    def log_odds_of(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the calibrated log-odds that outputs `[..., num_tasks]` stand for, of the same shape."""
        calibrated = outputs * self._slope + self._offset
        choice = calibrated[..., :1]
        return tf.concat([choice, joint_log_odds(choice, calibrated[..., 1:])], axis=-1)

    def outputs_of(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns what training moves, `[batch, num_candidates, num_tasks]` float32, before calibration.

        Of the first task these are its log-odds, of any other those that it is fulfilled where the first one is.
        """
        features = (inputs["features"] - self._mean) / self._deviation
        known = features
        if self._match is not None:
            matches = self._match(inputs["query"][:, None, :] * inputs["candidates"])
            known = tf.concat([features, matches], axis=2)
        prior = inputs["features"][:, :, _RETRIEVAL_SCORE, None] * self._retrieval_weight
        return prior + self._bias + self._correct(known)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns a float32 scalar: listwise cross-entropy of the choice, and that of each task.

        Args:
          inputs: As of `call`, `labels` `[batch, num_candidates, num_tasks]`, `candidate_mask` and `shown_mask`
            `[batch, num_candidates]`, all float32: 1 where a task was fulfilled, where there is a candidate, and
            where that was shown, so that nothing done about it says something.
          training: Makes no difference: there is no dropout here.
        """
        outputs, labels, shown = self.outputs_of(inputs), inputs["labels"], inputs["shown_mask"]
        chosen = labels[:, :, 0] / tf.maximum(tf.reduce_sum(labels[:, :, 0], axis=1, keepdims=True), 1.0)
        listwise = tf.reduce_mean(listwise_loss(chosen, outputs[:, :, 0], inputs["candidate_mask"]))
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)
        taught = tf.concat([tf.ones_like(labels[:, :, :1]), tf.repeat(labels[:, :, :1], len(self.tasks) - 1, 2)], 2)
        pointwise = tf.reduce_sum(entropy * taught * shown[:, :, None]) / tf.maximum(tf.reduce_sum(shown), 1.0)
        return listwise + pointwise

    def _correct(self, inputs: tf.Tensor) -> tf.Tensor:
        """What each task adds to the retrieval score, `[batch, num_candidates, num_tasks]`."""
        crossed = inputs
        for layer in self._cross:
            crossed = layer(inputs, crossed)
        opinions = [_chain(expert, crossed) for expert in self._experts]
        if not self._gates:
            return self._corrections[0](opinions[0])
        stacked = tf.stack(opinions, axis=3)
        mixed = [tf.reduce_sum(stacked * gate(crossed)[:, :, None, :], axis=3) for gate in self._gates]
        return tf.concat([layer(own) for layer, own in zip(self._corrections, mixed, strict=True)], axis=2)


def read_tasks(weights: bytes) -> tuple[str, ...]:
    """Returns the tasks of a ranker whose weights `encode_weights` wrote, in their order.

    Raises:
      BundleError: If the bytes are no weights.
    """
    names = [name.split(":")[1].split("/")[0] for name in decode_weights(weights)]
    return tuple(name.removeprefix(_CORRECTION) for name in names if name.startswith(_CORRECTION))


def _chain(layers: Sequence[tf.keras.layers.Layer], hidden: tf.Tensor) -> tf.Tensor:
    for layer in layers:
        hidden = layer(hidden)
    return hidden

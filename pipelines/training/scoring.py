"""The ranker as it stands in training, over lists of any number, and what is measured of its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.training.lists import CandidateLists, RankerLists, ShownLists, parts
from recsys.contracts.arrays import BoolArray, Float32Array
from recsys.features.ranking import RANKING_FEATURES
from recsys.features.tasks import TASKS
from recsys.models.ranker import Ranker

_SCORE_ROWS = 512


@dataclass(frozen=True)
class Scorer:
    """The ranker as it stands, over lists of any number.

    Attributes:
      ranker: seen as it changes.
      vectors: `[num_items + 1, dim]` float32.
      outputs_of: inputs as of `Ranker.call` to `[batch, num_candidates, num_tasks]` float32, traced once.
    """

    ranker: Ranker
    vectors: Float32Array
    outputs_of: Callable[[Mapping[str, Float32Array]], tf.Tensor]

    @classmethod
    def of(cls, ranker: Ranker, vectors: Float32Array) -> Scorer:
        """Traces a ranker."""
        inputs, _ = signatures(ranker.dim, len(ranker.tasks))
        return cls(ranker, vectors, tf.function(ranker.outputs_of, input_signature=[inputs]))

    def outputs(self, lists: CandidateLists | ShownLists) -> Float32Array:
        """Returns each task's output before calibration, `[num_lists, num_candidates, num_tasks]` float32."""
        found = np.zeros((*lists.candidates.shape, len(self.ranker.tasks)), np.float32)
        for rows in parts(len(lists), _SCORE_ROWS):
            found[rows] = self.outputs_of(inputs_of(lists.take(np.arange(len(lists))[rows]), self.vectors)).numpy()
        return found

    def scores(self, lists: CandidateLists | ShownLists) -> Float32Array:
        """Returns the (calibrated) score of each candidate, `[num_lists, num_candidates]` float32."""
        return self.ranker.combine(self.ranker.log_odds_of(tf.constant(self.outputs(lists)))).numpy()

    def likelihood(self, lists: RankerLists) -> float:
        """Returns the mean logarithm of the chance of what was chosen, and of what was done about what was shown.

        Every proposed list holds its choice. A kind of which there is no list adds 0.
        """
        value = 0.0
        if len(lists.proposed):
            value += float(_log_likelihoods(self.outputs(lists.proposed)[:, :, 0], lists.proposed).mean())
        if len(lists.shown):
            outputs, labels = self.of_shown(lists.shown)
            entropy = np.logaddexp(0.0, outputs) - labels * outputs
            value -= float((entropy * taught_by(labels)).sum(axis=1).mean())
        return value

    def of_shown(self, shown: ShownLists) -> tuple[Float32Array, BoolArray]:
        """Returns outputs and labels of all that was shown, both `[num_candidates, num_tasks]`."""
        present = shown.candidates > 0
        return self.outputs(shown)[present], labels_of(shown, self.ranker.tasks)[present]


def taught_by(labels: BoolArray) -> BoolArray:
    """Returns which tasks each row `[num_rows, num_tasks]` teaches: the choice always, others where it was made."""
    taught = np.repeat(labels[:, :1], labels.shape[1], axis=1)
    taught[:, 0] = True
    return taught


def signatures(dim: int, num_tasks: int) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
    """What the ranker reads, and what its loss reads."""
    inputs = {
        "query": tf.TensorSpec([None, dim]),
        "candidates": tf.TensorSpec([None, None, dim]),
        "features": tf.TensorSpec([None, None, len(RANKING_FEATURES)]),
    }
    per_candidate = tf.TensorSpec([None, None])
    masks = {"candidate_mask": per_candidate, "shown_mask": per_candidate}
    return inputs, {**inputs, "labels": tf.TensorSpec([None, None, num_tasks]), **masks}


def inputs_of(lists: CandidateLists | ShownLists, vectors: Float32Array) -> dict[str, Float32Array]:
    """Returns what `Ranker.call` reads of some lists."""
    return {"query": lists.queries, "candidates": vectors[lists.candidates], "features": lists.features}


def labels_of(shown: ShownLists, tasks: tuple[str, ...]) -> BoolArray:
    """Returns what was fulfilled of some tasks, `[num_lists, num_candidates, len(tasks)]` bool."""
    return shown.fulfilled[:, :, [TASKS.index(task) for task in tasks]]


def label_ranks(scores: Float32Array, lists: CandidateLists) -> Float32Array:
    """Rank (from 0) of the choice by `scores`, infinite where it is absent; equal scores keep the list's order."""
    scores = np.where(lists.candidates > 0, scores, -np.inf)
    own = np.take_along_axis(scores, np.maximum(lists.labels, 0)[:, None], axis=1)
    before = np.arange(scores.shape[1])[None, :] < lists.labels[:, None]
    ranks = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return np.where(lists.labels >= 0, ranks, np.inf).astype(np.float32)


def _log_likelihoods(scores: Float32Array, lists: CandidateLists) -> Float32Array:
    """Logarithm of the softmax of the choice, `[num_lists]` float32; every list holds its choice."""
    scores = np.where(lists.candidates > 0, scores, -np.inf)
    scores -= scores.max(axis=1, keepdims=True)
    own = np.take_along_axis(scores, lists.labels[:, None], axis=1)[:, 0]
    return own - np.log(np.exp(scores).sum(axis=1))

"""Fits the two-tower retrieval model on the training period."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pipelines.training.examples import Sequences
from pipelines.training.fitting import FitReport, Limits, fit
from pipelines.training.requests import (
    Requests,
    first_requests,
    ndcg_at_10,
    score_catalogue,
    target_ranks,
    validation_requests,
)
from pipelines.training.trail import Trail
from pipelines.training.windows import WindowBatches
from recsys.config.cloud import RetrievalSettings
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.features.catalogue import Catalogue
from recsys.features.history import history_mask
from recsys.models.item_tower import ItemTower
from recsys.models.query_tower import QueryTower
from recsys.models.retrieval import RetrievalModel
from recsys.progress import Progress

VALIDATION_USERS = 2_000
"""Users whose next item is ranked after each epoch."""
_HISTORY_ROWS = 512
_ITEM_ROWS = 65_536

_SIGNATURE = {
    "items": tf.TensorSpec([None], tf.int32),
    "log_probability": tf.TensorSpec([None], tf.float32),
    "history": tf.TensorSpec([None, None], tf.int32),
    "target": tf.TensorSpec([None, None], tf.int32),
}


def build_retrieval(catalogue: Catalogue, settings: RetrievalSettings, seed: int) -> RetrievalModel:
    """Returns an untrained model.

    Args:
      catalogue: Items and their categories.
      settings: Sizes.
      seed: Draws the initial weights and dropout.
    """
    tf.keras.utils.set_random_seed(seed)
    query_tower = QueryTower(
        settings.dim, settings.history_length, settings.num_blocks, settings.num_heads, settings.dropout
    )
    item_tower = ItemTower(catalogue.num_items, catalogue.num_categories, settings.dim, settings.id_dropout)
    return RetrievalModel(query_tower, item_tower, catalogue.categories, seed)


def fit_retrieval(
    model: RetrievalModel,
    sequences: Sequences,
    catalogue: Catalogue,
    settings: RetrievalSettings,
    seed: int,
    progress: Progress,
    trail: Trail | None = None,
) -> FitReport:
    """Trains on all positions of the training period, stopping by the next item of the validation period.

    Taken up where an earlier run was cut off, if that left its `trail`.

    Raises:
      TrainingError: If there is nothing to train on, or the loss diverges.
    """
    batches = WindowBatches(
        sequences, catalogue.num_items, settings.history_length, settings.batch_size, settings.num_negatives, seed
    )
    model.compile(optimizer=tf.keras.optimizers.Adam(_learning_rate(settings, batches.num_batches(1))))
    requests = first_requests(validation_requests(sequences), VALIDATION_USERS, seed)
    encoder = Encoder(model)

    def validate() -> float:
        return ndcg_at_10(encoder.ranks(requests, sequences, catalogue))

    limits = Limits(settings.max_epochs, settings.patience, settings.max_seconds, settings.averaging)
    progress.stage("training retrieval", settings.max_epochs)
    return fit(model, batches.epoch, _SIGNATURE, validate, limits, progress, trail)


def _learning_rate(
    settings: RetrievalSettings, steps_per_epoch: int
) -> float | tf.keras.optimizers.schedules.LearningRateSchedule:
    if not settings.decay_epochs:
        return settings.learning_rate
    num_steps = settings.decay_epochs * steps_per_epoch
    return tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, num_steps)


class Encoder:
    """The towers of a model over whole arrays, traced once."""

    def __init__(self, model: RetrievalModel) -> None:
        """Wraps the towers; later changes of their weights are seen."""
        self._model = model
        dim, length = model.query_tower.dim, model.query_tower.history_length
        self._encode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = tf.function(
            model.query_tower.encode_last,
            input_signature=[tf.TensorSpec([None, length, dim]), tf.TensorSpec([None, length])],
        )

    def embed(self, catalogue: Catalogue) -> Float32Array:
        """Returns all item vectors, `[num_items + 1, dim]` float32, row 0 zero.

        They are as they will be served: rounded to what float16 holds, and placed by content alone where training saw
        no positive of the item.
        """
        vectors = np.zeros((catalogue.num_items + 1, self._model.item_tower.dim), np.float32)
        for start in range(1, len(vectors), _ITEM_ROWS):
            rows = np.arange(start, min(start + _ITEM_ROWS, len(vectors)), dtype=np.int32)
            vectors[rows] = self._model.item_tower(catalogue.trained_indexes[rows], catalogue.categories[rows]).numpy()
        return vectors.astype(np.float16).astype(np.float32)

    def encode(self, histories: Int32Array, vectors: Float32Array) -> Float32Array:
        """Returns a query per history, `[num, dim]` float32.

        Args:
          histories: `[num, history_length]` int32, padded on the left.
          vectors: `[num_items + 1, dim]` float32.
        """
        queries = np.zeros((len(histories), vectors.shape[1]), np.float32)
        for start in range(0, len(histories), _HISTORY_ROWS):
            rows = histories[start : start + _HISTORY_ROWS]
            queries[start : start + len(rows)] = self._encode(vectors[rows], history_mask(rows)).numpy()
        return queries

    def ranks(self, requests: Requests, sequences: Sequences, catalogue: Catalogue) -> Int64Array:
        """Returns the rank (from 0) of each chosen item in the whole catalogue, `[num_requests]` int64."""
        vectors = self.embed(catalogue)
        length = self._model.query_tower.history_length
        queries = self.encode(sequences.padded_histories(requests.users, requests.places, length), vectors)
        ranks = [
            target_ranks(scores, requests.targets[rows])
            for rows, scores in score_catalogue(requests, sequences, queries, vectors, catalogue)
        ]
        return np.concatenate([np.zeros(0, np.int64), *ranks])

"""The cloud's towers as LiteRT models with one named signature each; built-in operations only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any, Final

import tensorflow as tf

from recsys.features.catalogue import MAX_CATEGORIES
from recsys.features.ranking import RANKING_FEATURES
from recsys.models.item_tower import ItemTower
from recsys.models.query_tower import QueryTower
from recsys.models.ranker import Ranker

INT8_BOUND: Final = 0.05
"""How far the int8 query may lie from the float one at most, as a share of its length."""


def export_item_tower(tower: ItemTower) -> bytes:
    """Returns the tower with the signature `embed`.

    `item_index` `[num]` int32, `categories` `[num, MAX_CATEGORIES]` int32 → `vector` `[num, dim]` float32.
    """

    def embed(item_index: tf.Tensor, categories: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"vector": tower(item_index, categories)}

    shapes = {
        "item_index": tf.TensorSpec([None], tf.int32),
        "categories": tf.TensorSpec([None, MAX_CATEGORIES], tf.int32),
    }
    return _convert(tower, embed, shapes)


def export_query_tower(tower: QueryTower, *, int8: bool = False) -> bytes:
    """Returns the tower with the signature `encode`.

    `history` `[batch, history_length, dim]` float32, `history_mask` `[batch, history_length]` float32 → `query`
    `[batch, dim]`.

    As int8 the weights are bytes, and each layer's activations are rounded to bytes by their own range as they come
    (dynamic range); inputs and output stay float32. Ranges fixed beforehand on 200 real histories lose too much: on
    MovieLens 100K's validation period the query moved by half its length and Recall@100 fell by 10 points (7 with a
    milder mask of the future), against 0.5 % and 0.1 points here, and a call took four times as long.

    Args:
      tower: Trained.
      int8: Whether to quantise it.
    """

    def encode(history: tf.Tensor, history_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"query": tower.encode_last(history, history_mask)}

    shapes = {
        "history": tf.TensorSpec([None, tower.history_length, tower.dim]),
        "history_mask": tf.TensorSpec([None, tower.history_length]),
    }
    return _convert(tower, encode, shapes, quantised=int8)


def export_ranker(ranker: Ranker) -> bytes:
    """Returns the ranker with the signature `rank`.

    `query` `[1, dim]`, `candidates` `[1, num_candidates, dim]`, `features` `[1, num_candidates, num_features]` →
    `score` `[1, num_candidates]` (log-odds, by which candidates are ordered) and, under the name of each task, its
    calibrated probability `[1, num_candidates]`; all float32.
    """

    def rank(query: tf.Tensor, candidates: tf.Tensor, features: tf.Tensor) -> dict[str, tf.Tensor]:
        log_odds = ranker.log_odds({"query": query, "candidates": candidates, "features": features})
        probabilities = tf.unstack(tf.sigmoid(log_odds), axis=2)
        return {"score": ranker.combine(log_odds), **dict(zip(ranker.tasks, probabilities, strict=True))}

    shapes = {
        "query": tf.TensorSpec([1, ranker.dim]),
        "candidates": tf.TensorSpec([1, None, ranker.dim]),
        "features": tf.TensorSpec([1, None, len(RANKING_FEATURES)]),
    }
    return _convert(ranker, rank, shapes)


def _convert(
    model: tf.keras.Model,
    function: Callable[..., dict[str, tf.Tensor]],
    shapes: Mapping[str, tf.TensorSpec],
    *,
    quantised: bool = False,
) -> bytes:
    """Traces `function` over `model` and converts it; the signature bears the function's name."""
    holder = tf.Module()
    holder.weights = list(model.weights)  # alone: a Keras model would bring its own traces into the saved model
    return convert_signatures(holder, {function.__name__: trace(function, shapes)}, quantised=quantised)


def trace(function: Callable[..., dict[str, tf.Tensor]], shapes: Mapping[str, tf.TensorSpec]) -> Any:
    """Returns a function of named inputs as one graph."""
    specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in shapes.items()}
    return tf.function(function).get_concrete_function(**specs)


def convert_signatures(
    holder: tf.Module, signatures: Mapping[str, Any], *, quantised: bool = False, with_state: bool = False
) -> bytes:
    """Returns traced functions as one LiteRT model with a signature for each.

    Args:
      holder: Of all variables that the functions read.
      signatures: Name to traced function.
      quantised: Whether large constants become bytes (dynamic range).
      with_state: Whether variables stay variables, which the functions may assign, and are not made constants.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(holder, folder, signatures=dict(signatures))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if with_state:
            converter.experimental_enable_resource_variables = True
        if quantised:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()

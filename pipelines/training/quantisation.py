"""The query tower as devices get it: float, and int8 that is held against it on real histories."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipelines.training.examples import Sequences
from pipelines.training.retrieval_stage import Encoder
from recsys.cascade.rerank import QueryEncoder
from recsys.contracts import bundle as names
from recsys.contracts.arrays import Float32Array, Float64Array
from recsys.errors import TrainingError
from recsys.features.catalogue import Catalogue
from recsys.models.export import INT8_BOUND, export_query_tower
from recsys.models.retrieval import RetrievalModel

MAX_HISTORIES: Final = 256
"""Users on whose histories the two towers are compared."""


def export_query_towers(
    retrieval: RetrievalModel, sequences: Sequences, catalogue: Catalogue
) -> tuple[dict[str, bytes], float]:
    """Returns both towers by their name in the bundle, and how far the int8 query lies from the float one at most.

    Args:
      retrieval: Trained.
      sequences: Users' histories; up to `MAX_HISTORIES` of them, evenly spread, are encoded by both.
      catalogue: Items.

    Raises:
      TrainingError: If an int8 query lies further from the float one than `INT8_BOUND`.
    """
    towers = {
        names.QUERY_TOWER_FILE: export_query_tower(retrieval.query_tower),
        names.QUERY_TOWER_INT8_FILE: export_query_tower(retrieval.query_tower, int8=True),
    }
    exact, coarse = (QueryEncoder(model) for model in towers.values())
    vectors = Encoder(retrieval).embed(catalogue)
    users = np.unique(np.linspace(0, sequences.num_users - 1, MAX_HISTORIES).astype(np.int64))
    histories = [vectors[sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]]] for user in users]
    worst = float(
        relative_distance(
            np.stack([exact.encode(history) for history in histories]),
            np.stack([coarse.encode(history) for history in histories]),
        ).max()
    )
    if not worst <= INT8_BOUND:
        raise TrainingError(
            f"Expected int8 queries within {INT8_BOUND} of the float ones (as a share of their length), got "
            f"{worst:.3f} on {len(users)} histories: some weights are out of all proportion. "
            "Lower `retrieval.learning_rate`."
        )
    return towers, worst


def relative_distance(exact: Float32Array, coarse: Float32Array) -> Float64Array:
    """Returns the distance of each row from its exact one over the length of that, `[num]` float64.

    Args:
      exact: `[num, dim]` float32, no row zero.
      coarse: `[num, dim]` float32.
    """
    return np.linalg.norm((coarse - exact).astype(np.float64), axis=1) / np.linalg.norm(exact, axis=1)

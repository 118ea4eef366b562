"""EASE^R: a linear item-to-item model in closed form.

Embarrassingly Shallow Autoencoders for Sparse Data, Steck, WWW 2019: the weights B with a zero diagonal that best
rebuild every history X as X B follow from the Gram matrix X^T X alone.
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Float64Array


def weigh_ease(gram: Float64Array, l2: float) -> Float64Array:
    """Returns the weights B, `[num_items, num_items]` float64 with a zero diagonal.

    Args:
      gram: `[num_items, num_items]` float64, how many people chose both; its diagonal is overwritten, for a copy of a
        large one would be all that fits into memory.
      l2: Regularisation, λ of the paper.
    """
    gram[np.diag_indices_from(gram)] += l2
    weights: Float64Array = np.linalg.inv(gram)
    weights /= -weights.diagonal().copy()
    np.fill_diagonal(weights, 0.0)
    return weights

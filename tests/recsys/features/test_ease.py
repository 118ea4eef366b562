from __future__ import annotations

import numpy as np

from recsys.features.ease import weigh_ease


def test_the_weights_of_two_items_are_those_of_the_formula() -> None:
    # Gram [[3, 1], [1, 2]] + 1 has the inverse [[3, -1], [-1, 4]] / 11: weights 1/4 and 1/3.
    found = weigh_ease(np.array([[3.0, 1.0], [1.0, 2.0]]), 1.0)
    np.testing.assert_allclose(found, [[0, 0.25], [1 / 3, 0]], rtol=1e-6)

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.arms import ARMS
from benchmarks.settings import BaselineSettings
from federated.device.contribution import count_items, count_together, count_transitions
from federated.device.retrieval import PrivateRetriever
from federated.simulation.strict.tables import build_tables, choose_items, fill_gram, normalise
from recsys.config.federated import StrictSettings
from recsys.errors import FederationError
from tests.benchmarks.tasks import make_log, make_requests

COUNTS = (count_items, count_transitions, count_together)


def integers(*values):
    return np.array(values, np.int64)


def test_the_gram_matrix_has_each_pair_twice_and_items_on_its_diagonal():
    assert fill_gram(integers(4, 1, 2, 5, 3, 6), 3).tolist() == [[4, 1, 2], [1, 5, 3], [2, 3, 6]]


def test_votes_are_divided_by_both_counts():
    # An item that nobody chose counts as one.
    votes = normalise(integers(8, 4, 2, 0).reshape(2, 2), integers(4, 0), 0.5)
    assert votes.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_items_that_enough_devices_chose_are_kept_the_rarest_first():
    assert choose_items(integers(6, 4, 0, 5, 5), 5).tolist() == [3, 4, 0]


def test_where_no_items_are_common_enough_the_threshold_is_named():
    with pytest.raises(FederationError, match=r"two items or more that 6 devices chose, got 1. Lower `strict.min_devi"):
        choose_items(integers(5, 4, 0, 6), 6)


def test_sums_of_different_catalogues_are_refused():
    with pytest.raises(FederationError, match=r"Expected sums over 3 items, got 4 cells of transitions and 2 of pairs"):
        build_tables(
            integers(1, 1, 1), np.arange(3, dtype=np.int32), integers(0, 0, 0, 0), integers(0, 0), StrictSettings()
        )


@pytest.mark.parametrize(("arm", "ask"), [("transitions", "follow"), ("blend", "blend")])
def test_a_device_scores_as_the_model_that_knows_every_history(arm, ask):
    rng = np.random.default_rng(2)
    histories = [rng.permutation(15)[: rng.integers(3, 15)].tolist() for _ in range(60)]
    log = make_log(*histories, num_items=15)
    central = ARMS[arm].build(BaselineSettings())
    central.fit(log, 0)
    expected = central.score(make_requests(list(range(60)), [[0]] * 60))
    settings = StrictSettings(levels=10_000)  # so fine that rounding is out of sight
    sums = [sum(count(log.history(user), 15, settings).expand() for user in range(60)) for count in COUNTS]
    tables = build_tables(sums[0], np.arange(15, dtype=np.int32), *sums[1:], settings)
    retriever = PrivateRetriever(tables, settings)
    scores = np.stack([getattr(retriever, ask)(log.history(user)) for user in range(60)])
    for row in range(60):
        assert np.corrcoef(scores[row], expected[row])[0, 1] > 0.999

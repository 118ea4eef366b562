from __future__ import annotations

import numpy as np
import pytest

from federated.device.contribution import count_items, count_together, count_transitions, keep_items
from federated.simulation.strict.segments import Segment, cut_items, cut_pairs, cut_rows, cut_transitions
from federated.simulation.strict.tables import choose_items
from recsys.config.federated import StrictSettings
from recsys.errors import FederationError


def integers(*values):
    return np.array(values, np.int64)


def test_rows_of_as_many_bits_are_one_segment():
    # 4 to 7 take three bits, 8 four.
    assert cut_rows([4, 7, 8], [10, 5, 2]) == (Segment(15, 3), Segment(2, 4))


def test_the_items_of_the_first_round_need_the_bits_of_all_devices():
    assert cut_items(8, 5) == (Segment(5, 4),)


def test_transitions_of_an_item_come_to_no_more_than_its_devices_times_the_levels():
    # 3 x 4 = 12 takes four bits, 4 x 4 = 16 five.
    assert cut_transitions(integers(3, 3, 4), 4) == (Segment(6, 4), Segment(3, 5))


def test_pairs_come_to_no_more_than_the_rarer_item_of_them():
    # Rows of 3, 2 and 1 pairs, each item with itself and those that are more common.
    assert cut_pairs(integers(1, 2, 9)) == (Segment(3, 1), Segment(2, 2), Segment(1, 4))


def test_a_segment_is_packed_to_whole_bytes():
    assert Segment(3, 5).size_bytes == 2


@pytest.mark.parametrize("seed", range(5))
def test_no_sum_of_the_second_round_reaches_its_modulus(seed):
    settings = StrictSettings(levels=4, max_history=8)
    rng = np.random.default_rng(seed)
    histories = [rng.integers(0, 6, rng.integers(0, 20)).astype(np.int32) for _ in range(15)]
    items = sum(count_items(history, 6, settings).expand() for history in histories)
    kept = choose_items(items, 2)
    for count, segments in (
        (count_transitions, cut_transitions(items[kept], settings.levels)),
        (count_together, cut_pairs(items[kept])),
    ):
        total = sum(count(keep_items(history, kept), len(kept), settings).expand() for history in histories)
        moduli = np.concatenate([np.full(segment.num_cells, 2**segment.bits) for segment in segments])
        assert len(moduli) == len(total)
        assert (total < moduli).all()


def test_sums_that_are_too_large_are_refused():
    with pytest.raises(FederationError, match=r"sums below 2 \*\* 30, got up to 1,073,741,824. Lower `strict."):
        cut_rows([1, 2**30], [1, 1])

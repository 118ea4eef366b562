import numpy as np
import pytest

from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.store import Extent

PEOPLE = {"a": Extent(0, 1), "b": Extent(1, 5), "c": Extent(6, 0), "d": Extent(6, 3), "e": Extent(9, 5)}


def counts(packs):
    return [[extent.count for extent in pack] for pack in packs]


@pytest.mark.parametrize(
    ("users_per_pack", "expected"),
    [
        (1, [[5], [5], [3], [1]]),
        (2, [[5, 5], [3, 1]]),
        (3, [[5, 5], [3, 1]]),
        (4, [[5, 5, 3, 1]]),
        (99, [[5, 5, 3, 1]]),
    ],
)
def test_packs_hold_people_with_about_equally_many_examples_and_nobody_without(users_per_pack, expected):
    assert counts(cut_cohort(PEOPLE, users_per_pack)) == expected


def test_the_cut_depends_neither_on_the_order_of_people_nor_on_where_they_lie():
    moved = {user: Extent(100 - extent.start, extent.count) for user, extent in reversed(PEOPLE.items())}
    expected = [[Extent(100 - extent.start, extent.count) for extent in pack] for pack in cut_cohort(PEOPLE, 2)]
    assert cut_cohort(moved, 2) == expected


def test_nobody_with_examples_makes_no_pack():
    assert cut_cohort({"c": Extent(6, 0)}, 4) == []


def test_what_is_sent_of_a_pack_are_two_numbers_a_person():
    elements = list(to_dataset([Extent(1, 5), Extent(6, 3)]).as_numpy_iterator())
    assert elements == [{"count": 5, "start": 1}, {"count": 3, "start": 6}]
    assert all(value.dtype == np.int32 for element in elements for value in element.values())

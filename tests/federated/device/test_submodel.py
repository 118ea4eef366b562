"""What a device trains: a stretch of its choices, and items that stand against them."""

from __future__ import annotations

import numpy as np
import pytest

from federated.device.submodel import ABSENT, draw_submodel, num_rows
from recsys.config.federated import StrictTowerSettings

SETTINGS = StrictTowerSettings(history_length=5, num_negatives=2)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def items(*values):
    return np.array(values, np.int32)


def test_choices_become_places_among_the_rows_that_they_touch(rng):
    submodel = draw_submodel(items(4, 2, 4, 7), 10, SETTINGS, rng)
    assert submodel.rows[:3].tolist() == [2, 4, 7]
    assert submodel.inputs.tolist() == [1, 0, 1, 0, 0]
    assert submodel.targets.tolist() == [0, 1, 2, 0, 0]
    assert submodel.present.tolist() == [1, 1, 1, 0, 0]


def test_each_item_drawn_stands_for_as_many_others_as_there_are_to_it(rng):
    submodel = draw_submodel(items(4, 2, 4, 7), 10, SETTINGS, rng)
    drawn = submodel.rows[3:5].tolist()
    assert len(set(drawn)) == 2
    assert not set(drawn) & {2, 4, 7}
    # Seven items were not chosen, of which two were drawn; three of the eight places are empty.
    assert len(submodel.rows) == num_rows(SETTINGS) == 8
    np.testing.assert_allclose(submodel.offsets, [0, 0, 0, *[np.log(7 / 2)] * 2, *[ABSENT] * 3], rtol=1e-6)


def test_where_all_others_are_drawn_each_stands_for_itself(rng):
    submodel = draw_submodel(items(0, 1), 4, SETTINGS, rng)
    assert sorted(submodel.rows[:4].tolist()) == [0, 1, 2, 3]
    assert submodel.offsets[:4].tolist() == [0, 0, 0, 0]


def test_a_stretch_is_of_consecutive_choices_and_any_may_be_its_end(rng):
    history, ends = np.arange(20, dtype=np.int32), set()
    for _ in range(300):
        submodel = draw_submodel(history, 30, SETTINGS, rng)
        stretch = submodel.rows[submodel.inputs]
        assert (np.diff(stretch) == 1).all()
        assert (submodel.rows[submodel.targets] == stretch + 1).all()
        ends.add(int(stretch[-1]) + 1)
    assert ends == set(range(5, 20))


def test_choices_of_rare_items_are_left_out(rng):
    submodel = draw_submodel(items(-1, 3, -1, 5), 10, SETTINGS, rng)
    assert submodel.rows[:2].tolist() == [3, 5]
    assert submodel.present.tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("history", [(), (3,), (-1, 3, -1)])
def test_one_choice_teaches_nothing(history, rng):
    assert draw_submodel(items(*history), 10, SETTINGS, rng) is None

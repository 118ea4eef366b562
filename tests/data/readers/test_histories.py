import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.readers.histories import keep_core, spread_ties


def test_ties_are_spread_by_one_millisecond_each():
    user = np.array([0, 0, 0, 0, 1, 1])
    time_ms = np.array([1_000, 1_000, 1_000, 2_000, 500, 500])
    assert spread_ties(user, time_ms).tolist() == [1_000, 1_001, 1_002, 2_000, 500, 501]


def test_a_crowd_of_ties_pushes_what_follows():
    time_ms = np.array([7] * 3 + [8])
    assert spread_ties(np.zeros(4, np.int64), time_ms).tolist() == [7, 8, 9, 10]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**42)), min_size=1, max_size=40))
def test_times_rise_within_each_person_and_never_move_back(rows):
    user, time_ms = np.array(sorted(rows), np.int64).T
    spread = spread_ties(user, time_ms)
    assert (spread >= time_ms).all()
    assert (np.diff(spread)[np.diff(user) == 0] > 0).all()
    first = np.flatnonzero(np.diff(user, prepend=-1))
    assert (spread[first] == time_ms[first]).all()


def test_the_core_is_taken_until_nothing_more_falls():
    # Item 2 has one row; without it user 2 has one; without user 2 item 1 keeps two.
    user, item = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [2, 2]]).T
    assert keep_core(user, item, least=2).tolist() == [True] * 4 + [False] * 2


def test_no_rows_have_an_empty_core():
    assert keep_core(np.array([], np.int64), np.array([], np.int64), least=5).tolist() == []

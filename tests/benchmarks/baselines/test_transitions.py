from __future__ import annotations

import pytest

from benchmarks.baselines.transitions import Transitions, count_transitions
from tests.benchmarks.tasks import make_log, make_requests


def test_pairs_are_directed_decay_with_the_lag_and_stay_within_a_user() -> None:
    pairs = count_transitions(make_log([0, 1, 2], [2, 0], num_items=3), window=2, decay=0.5).toarray()
    assert pairs.tolist() == [[0, 1, 0.5], [0, 0, 1], [1, 0, 0]]


def test_the_last_choice_votes_most_and_popular_candidates_are_held_down() -> None:
    model = Transitions(window=1, decay=1.0, half_life=1.0, popularity=0.5)
    model.fit(make_log([0, 1], [1, 2], [0, 1], num_items=3), seed=0)
    # Counts 2, 3, 1. Votes: 0 → 1: 2 / 2 / sqrt(3); 1 → 2: 1 / 3 / sqrt(1). Profile of user 0: [1/2, 1, 0].
    assert model.score(make_requests([0], [[2]]))[0].tolist() == pytest.approx([0.0, 0.5 / 3**0.5, 1 / 3])


def test_a_window_beyond_every_history_counts_what_there_is() -> None:
    assert count_transitions(make_log([0, 1], num_items=2), window=30, decay=0.8).toarray().tolist() == [[0, 1], [0, 0]]


def test_other_histories_are_scored_by_the_pairs_that_were_counted() -> None:
    model = Transitions(window=1, decay=1.0, half_life=1.0, popularity=0.0)
    model.fit(make_log([0, 1], [1, 2], num_items=3), seed=0)
    # Votes: 0 → 1: 1 / 1; 1 → 2: 1 / 2. Profile of the new user: [1, 1/2, 0].
    model.fold_in(make_log([1, 0], num_items=3))
    assert model.score(make_requests([0], [[2]]))[0].tolist() == pytest.approx([0.0, 1.0, 0.25])

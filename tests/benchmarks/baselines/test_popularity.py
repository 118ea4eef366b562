from __future__ import annotations

from benchmarks.baselines.popularity import Popularity
from tests.benchmarks.tasks import make_log, make_requests


def test_everybody_is_shown_the_counts_of_all_time() -> None:
    model = Popularity()
    model.fit(make_log([0, 1, 1], [1], num_items=3), seed=0)
    assert model.score(make_requests([1, 0], [[2], [2]])).tolist() == [[1, 3, 0], [1, 3, 0]]


def test_recent_popularity_counts_the_latest_share_of_all_events() -> None:
    model = Popularity(recent_share=0.5)
    # The last two of four events.
    model.fit(make_log([0, 0], [1, 2], num_items=3), seed=0)
    assert model.score(make_requests([0], [[2]])).tolist() == [[0, 1, 1]]

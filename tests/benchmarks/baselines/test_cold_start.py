from __future__ import annotations

from benchmarks.baselines.cold_start import PopularityWhenCold
from benchmarks.baselines.transitions import Transitions
from tests.benchmarks.tasks import make_log, make_requests


def test_who_has_no_history_is_shown_what_is_popular_and_others_their_own() -> None:
    log = make_log([0, 1], [], [1], num_items=3)
    model, plain = PopularityWhenCold(Transitions(1, 1.0, 1.0, 0.0)), Transitions(1, 1.0, 1.0, 0.0)
    model.fit(log, seed=0)
    plain.fit(log, seed=0)
    requests = make_requests([0, 1], [[2], [2]])
    assert model.score(requests)[1].tolist() == [1, 2, 0]
    assert model.score(requests)[0].tolist() == plain.score(requests)[0].tolist()

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.benchmarks.tasks import make_log, make_requests, make_task


def test_a_log_tells_whose_row_it_is_and_how_many_follow() -> None:
    log = make_log([3, 1], [], [2])
    assert log.users.tolist() == [0, 0, 2]
    assert log.rows_to_end.tolist() == [1, 0, 0]
    assert [log.history(user).tolist() for user in range(3)] == [[3, 1], [], [2]]


def test_a_slice_of_requests_has_its_own_targets_and_candidates() -> None:
    part = make_requests([4, 5, 6], [[0], [1], [2]], [[0, 3], [1, 3], [2, 3]]).slice(1, 3)
    assert (part.users.tolist(), part.offsets.tolist(), part.targets.tolist()) == ([5, 6], [0, 1, 2], [1, 2])
    assert part.candidates is not None
    assert part.candidates.tolist() == [[1, 3], [2, 3]]


def test_the_fingerprint_tells_targets_and_candidates_apart() -> None:
    task = make_task([[0, 1, 2, 3], [3, 2, 1]], num_items=4)
    same = make_task([[0, 1, 2, 3], [3, 2, 1]], num_items=4)
    drawn = replace(task, requests=replace(task.requests, candidates=np.array([[3, 0], [1, 0]], np.int32)))
    others = replace(task, requests=replace(task.requests, candidates=np.array([[3, 1], [1, 0]], np.int32)))
    assert task.fingerprint == same.fingerprint
    assert len({task.fingerprint, drawn.fingerprint, others.fingerprint}) == 3

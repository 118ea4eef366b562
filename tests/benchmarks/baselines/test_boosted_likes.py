"""Boosted trees learn what the counts tell, and nothing of the rows that are tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.baselines.boosted_likes import score_boosted
from benchmarks.judgements import Judgements
from recsys.metrics.ranking import auc
from tests.benchmarks.test_likes import make_judgements


def judged() -> Judgements:
    """40 people, who all like the even videos and dislike the odd ones; the last of five judgements is tested."""
    rng = np.random.default_rng(0)
    rows = [
        (user, int(item), item % 2 == 0, place == 4)
        for user in range(40)
        for place, item in enumerate(rng.permutation(10)[:5])
    ]
    return make_judgements(rows, 10)


def test_what_all_like_is_told_from_what_all_dislike() -> None:
    task = judged()
    assert auc(score_boosted(task), task.liked[task.tested]) == 1.0


def test_the_answers_of_tested_rows_are_not_looked_at() -> None:
    task = judged()
    other = replace(task, liked=np.where(task.tested, ~task.liked, task.liked))
    assert score_boosted(task).tolist() == score_boosted(other).tolist()

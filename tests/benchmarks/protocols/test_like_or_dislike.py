from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.baselines.likes import score_like_rate, score_liked_before
from benchmarks.protocols.like_or_dislike import read_like_or_dislike
from recsys.metrics.ranking import auc


def test_the_last_fifth_of_each_persons_judgements_is_tested_with_all_signals_of_its_rows(real_data: Path) -> None:
    task = read_like_or_dislike(real_data / "kuairand")
    assert (len(task.users), len(task.user_ids), len(task.item_ids)) == (41_704, 664, 9_359)
    counts, tested = np.bincount(task.users), np.bincount(task.users[task.tested], minlength=664)
    assert (tested == counts - np.floor(counts * 0.8 + 1e-9)).all()
    later = {user: task.times_ms[(task.users == user) & task.tested].min() for user in range(664) if tested[user]}
    for user, first_ms in later.items():
        assert (task.times_ms[(task.users == user) & ~task.tested] <= first_ms).all()
    held_out = task.dataset.events.filter(task.split.mask("test"))
    assert set(held_out.column("action").to_pylist()) > {"impression", "like", "dislike"}
    labels = [action for action in held_out.column("action").to_pylist() if action in ("like", "dislike")]
    assert len(labels) == task.tested.sum()


def test_what_others_made_of_the_video_has_its_known_figures(real_data: Path) -> None:
    task = read_like_or_dislike(real_data / "kuairand")
    users, liked = task.users[task.tested], task.liked[task.tested]
    for score, known in ((score_liked_before, 0.914), (score_like_rate, 0.907)):
        scores = score(task)
        values = [auc(scores[users == user], liked[users == user]) for user in np.unique(users)]
        assert np.mean([value for value in values if value is not None]) == pytest.approx(known, abs=0.006)

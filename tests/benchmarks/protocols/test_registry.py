"""Every protocol on the real data: what is asked, and the figures that are known of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.baselines.popularity import Popularity
from benchmarks.baselines.transitions import Transitions
from benchmarks.evaluation import measure, rank_targets
from benchmarks.protocols.registry import PROTOCOLS, read_task
from benchmarks.task import Task
from recsys.errors import ConfigError


def test_an_unknown_protocol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"out of P1, P2, P3, P4, P4-full, P5, got 'P9'"):
        read_task("P9", None)


def read(protocol: str, real_data: Path) -> Task:
    folders = {"P1": "movielens-1m", "P2": "movielens-1m", "P5": "twitch"}
    return read_task(protocol, real_data / folders.get(protocol, "movielens-100k"))


@pytest.mark.parametrize(
    ("protocol", "num_events", "num_items", "num_requests", "num_candidates"),
    [
        ("P1", 1_000_209 - 6_040, 3_706, 6_040, 100),
        ("P2", 999_611 - 6_040, 3_416, 6_040, None),
        ("P3", 90_000, 1_682, 166, None),
        ("P4", 100_000 - 943, 1_682, 943, 100),
        ("P4-full", 100_000 - 943, 1_682, 943, None),
    ],
)
def test_a_protocol_has_its_published_size(
    real_data: Path, protocol: str, num_events: int, num_items: int, num_requests: int, num_candidates: int | None
) -> None:
    task = read(protocol, real_data)
    assert task.protocol == protocol
    assert (len(task.log.items), task.log.num_items, len(task.requests)) == (num_events, num_items, num_requests)
    candidates = task.requests.candidates
    assert (None if candidates is None else candidates.shape[1]) == num_candidates
    assert set(PROTOCOLS) >= {protocol}


def test_the_negatives_of_p1_are_the_published_ones(real_data: Path) -> None:
    task = read("P1", real_data)
    candidates = task.requests.candidates
    assert candidates is not None
    assert (candidates[:, 0] == task.requests.targets).all()
    assert int((candidates[:, 1:] == task.requests.targets[:, None]).sum()) == 156
    for row, user in enumerate(task.requests.users.tolist()):
        assert not np.isin(candidates[row], task.log.history(user)).any()


def test_the_negatives_of_p4_are_99_that_the_user_never_rated_and_always_the_same(real_data: Path) -> None:
    task, again = read("P4", real_data), read("P4", real_data)
    assert task.fingerprint == again.fingerprint
    candidates = task.requests.candidates
    assert candidates is not None
    for row, user in enumerate(task.requests.users.tolist()):
        assert len(set(candidates[row].tolist())) == 100
        assert not np.isin(candidates[row], task.log.history(user)).any()


def test_p3_asks_69_warm_users_apart(real_data: Path) -> None:
    groups = read("P3", real_data).groups
    assert {name: int(rows.sum()) for name, rows in groups.items()} == {
        "warm": 69,
        "since validation": 21,
        "cold": 76,
    }


def test_a_fifth_of_the_streamers_of_each_viewer_is_held_out_always_the_same(real_data: Path) -> None:
    task, again = read("P5", real_data), read("P5", real_data)
    assert task.fingerprint == again.fingerprint
    assert (task.log.num_users, len(task.requests)) == (23_787, 23_787)
    tested, known = np.diff(task.requests.offsets), np.diff(task.log.offsets)
    assert (tested == np.round((tested + known) * 0.2)).all()


def test_transitions_on_p2_and_recent_popularity_on_p3_have_their_known_figures(real_data: Path) -> None:
    task, model = read("P2", real_data), Transitions(30, 0.8, 2.0, 0.15)
    model.fit(task.log, 0)
    values = measure(task.requests, rank_targets(model.score, task.log, task.requests))
    assert values["hit_rate_at_10"].mean() == pytest.approx(0.282, abs=0.001)
    assert values["ndcg_at_10"].mean() == pytest.approx(0.164, abs=0.001)
    assert values["recall_at_100"].mean() == pytest.approx(0.619, abs=0.001)
    task, recent = read("P3", real_data), Popularity(0.1)
    recent.fit(task.log, 0)
    values = measure(task.requests, rank_targets(recent.score, task.log, task.requests))
    warm = task.groups["warm"]
    assert values["hit_rate_at_10"][warm].mean() == pytest.approx(0.652, abs=0.001)
    assert values["ndcg_at_10"][warm].mean() == pytest.approx(0.227, abs=0.001)
    assert values["recall_at_100"][warm].mean() == pytest.approx(0.439, abs=0.001)

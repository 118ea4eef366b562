from __future__ import annotations

from benchmarks.selection import GRIDS, select
from benchmarks.settings import BaselineSettings
from tests.benchmarks.tasks import make_task


def test_every_combination_is_tried_and_judged() -> None:
    task = make_task([[0, 1, 2, 3]] * 4, num_items=6)
    tried = list(select(task, "transitions", {"transition_decay": (0.5, 0.9), "transition_half_life": (1.0,)}))
    assert [settings for settings, _ in tried] == [
        {"transition_decay": 0.5, "transition_half_life": 1.0},
        {"transition_decay": 0.9, "transition_half_life": 1.0},
    ]
    # Nothing ever followed item 2: the candidates 3, 4 and 5 tie at 0, and the target 3 stands first.
    assert [ndcg for _, ndcg in tried] == [1.0, 1.0]


def test_the_grids_speak_of_settings_that_exist() -> None:
    names = set(vars(BaselineSettings()))
    assert {name for grid in GRIDS.values() for name in grid} <= names

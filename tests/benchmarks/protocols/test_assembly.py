from __future__ import annotations

import numpy as np
import pytest

from benchmarks.protocols.assembly import Description, assemble
from benchmarks.settings import BaselineSettings
from data.split import hold_out, leave_one_out
from recsys.errors import DatasetError
from tests.benchmarks.tasks import make_dataset

DESCRIPTION = Description("T", "tiny", BaselineSettings(), notes=("A note.",))


def test_the_test_is_asked_with_training_and_validation_known() -> None:
    dataset = make_dataset([[0, 1, 2, 3], [3, 2]], num_items=5)
    task = assemble(DESCRIPTION, dataset, leave_one_out(dataset.events), "test")
    assert [task.log.history(user).tolist() for user in range(2)] == [[0, 1, 2], [3, 2]]
    assert (task.requests.users.tolist(), task.requests.targets.tolist()) == ([0], [3])
    assert (task.log.num_items, task.item_ids[4], task.user_ids) == (5, "i4", ("u0", "u1"))
    assert task.notes == ("A note.",)


def test_the_validation_part_is_asked_with_training_known_alone() -> None:
    dataset = make_dataset([[0, 1, 2, 3]], num_items=4)
    task = assemble(DESCRIPTION, dataset, leave_one_out(dataset.events), "validation")
    assert task.log.history(0).tolist() == [0, 1]
    assert task.requests.targets.tolist() == [2]


def test_who_is_tested_on_several_items_asks_once() -> None:
    dataset = make_dataset([[0, 1, 2], [2, 1]], num_items=3)
    split = hold_out(dataset.events, np.array([False, True, True, False, True]), "given")
    task = assemble(DESCRIPTION, dataset, split, "test")
    assert task.requests.users.tolist() == [0, 1]
    assert task.requests.offsets.tolist() == [0, 2, 3]
    assert task.requests.targets.tolist() == [1, 2, 1]


def test_candidates_and_groups_come_from_the_protocol() -> None:
    dataset = make_dataset([[0, 1, 2], [1, 2, 0]], num_items=3)
    task = assemble(
        DESCRIPTION,
        dataset,
        leave_one_out(dataset.events),
        "test",
        lambda log, requests: np.stack([requests.targets, np.full(2, log.num_items - 2)], axis=1).astype(np.int32),
        lambda task: {"first": task.requests.users == 0},
    )
    assert task.requests.candidates is not None
    assert task.requests.candidates.tolist() == [[2, 1], [0, 1]]
    assert task.groups["first"].tolist() == [True, False]


def test_a_division_that_holds_nothing_out_is_refused() -> None:
    dataset = make_dataset([[0, 1]], num_items=2)
    with pytest.raises(DatasetError, match="held out by leave one out by time, got none in 2 events"):
        assemble(DESCRIPTION, dataset, leave_one_out(dataset.events), "test")

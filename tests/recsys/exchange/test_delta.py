from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given

from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.errors import ContractError, VersionMismatchError
from recsys.exchange.delta import apply_delta, diff
from tests.recsys.contracts.strategies import snapshots


def make(**vectors: float) -> EmbeddingSnapshot:
    """A snapshot of one-dimensional vectors."""
    return EmbeddingSnapshot(tuple(sorted(vectors)), np.array([[vectors[key]] for key in sorted(vectors)], np.float32))


BEFORE = make(a=1, b=2, c=3)
AFTER = make(a=1, b=5, d=4)


def test_a_delta_holds_what_changed_what_came_and_what_went():
    delta = diff(BEFORE, AFTER)
    assert delta.item_ids == ("b", "d")
    assert delta.vectors.tolist() == [[5], [4]]
    assert delta.removed_ids == ("c",)
    assert (delta.base_version, delta.version) == (BEFORE.version, AFTER.version)


def test_nothing_lies_between_equal_snapshots():
    delta = diff(BEFORE, make(a=1, b=2, c=3))
    assert (delta.item_ids, delta.vectors.shape, delta.removed_ids) == ((), (0, 1), ())


@given(snapshots(), snapshots())
def test_applying_the_difference_leads_to_the_target(base, target):
    before = base.vectors.copy()
    assert apply_delta(base, diff(base, target)) == target
    assert (base.vectors == before).all()


@given(snapshots(), snapshots(), snapshots())
def test_deltas_may_follow_each_other(first, second, third):
    assert apply_delta(apply_delta(first, diff(first, second)), diff(second, third)) == third


@given(snapshots(), snapshots(), snapshots())
def test_a_delta_from_another_base_is_refused_and_changes_nothing(base, other, target):
    assume(base != other)
    before = base.item_ids, base.vectors.copy(), base.version
    with pytest.raises(VersionMismatchError, match=f"from version {base.version}, got one from {other.version}"):
        apply_delta(base, diff(other, target))
    assert (base.item_ids, base.version) == (before[0], before[2])
    assert (base.vectors == before[1]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"version": "0123456789abcdef"},
        {"removed_ids": ()},
        {"removed_ids": ("x",)},
        {"item_ids": ("b", "e")},
        {"vectors": np.array([[5], [4.5]], np.float32)},
    ],
)
def test_a_delta_that_does_not_arrive_where_it_says_is_refused(change):
    with pytest.raises(VersionMismatchError, match=r"Expected the delta to lead to version .* Ask for the snapshot"):
        apply_delta(BEFORE, dataclasses.replace(diff(BEFORE, AFTER), **change))


def test_a_change_of_the_sign_of_zero_is_a_change():
    base, target = make(a=0.0), make(a=-0.0)
    delta = diff(base, target)
    assert delta.item_ids == ("a",)
    assert apply_delta(base, delta).version == target.version


def test_everything_may_come_and_everything_may_go():
    empty = EmbeddingSnapshot((), np.zeros((0, 1), np.float32))
    assert apply_delta(empty, diff(empty, AFTER)) == AFTER
    assert apply_delta(AFTER, diff(AFTER, empty)) == empty


def test_there_is_no_delta_between_vectors_of_other_lengths():
    wide = EmbeddingSnapshot(("a",), np.ones((1, 2), np.float32))
    with pytest.raises(ContractError, match=r"snapshots of one dim, got 1 and 2\. Send the snapshot"):
        diff(BEFORE, wide)


def test_a_delta_of_vectors_of_another_length_is_refused():
    delta = dataclasses.replace(diff(BEFORE, AFTER), vectors=np.ones((2, 3), np.float32))
    with pytest.raises(VersionMismatchError, match="vectors of length 1, got 3"):
        apply_delta(BEFORE, delta)

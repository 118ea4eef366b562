from __future__ import annotations

import numpy as np
import pytest

from federated.device.examples import Choice, build_examples
from recsys.config import DeviceSettings

SETTINGS = DeviceSettings(history_length=3, num_candidates=4, max_examples=2)


def choose(item_index: int, candidates: list[int], history: tuple[int, ...] = ()) -> Choice:
    return Choice(
        item_index,
        np.asarray(candidates, np.int32),
        np.arange(len(candidates), 0, -1).astype(np.float32),
        np.full(2, item_index, np.float32),
        np.asarray(history, np.int32),
    )


def build(choices, seed=0):
    return build_examples(choices, 2, SETTINGS, np.random.default_rng(seed))


def test_only_lists_that_held_the_chosen_item_are_learned_from():
    assert len(build([choose(9, [1, 2, 3]), choose(2, [1, 2, 3])])) == 1


def test_the_latest_examples_are_kept():
    examples = build([choose(item, [1, 2, 3]) for item in (1, 2, 3)])
    assert examples.query[:, 0].tolist() == [2.0, 3.0]


def test_a_long_list_is_cut_to_the_chosen_item_and_a_draw_of_others():
    examples = build([choose(5, list(range(1, 51)))])
    kept = examples.candidates[0].tolist()
    assert len(set(kept)) == 4
    assert kept[examples.label[0]] == 5
    assert set(kept) <= set(range(1, 51))


def test_scores_are_standardised_over_the_whole_list_not_over_the_draw():
    examples = build([choose(1, [1, 2, 3])])  # scores 3, 2, 1: mean 2, deviation sqrt(2 / 3)
    expected = np.asarray([1, 0, -1]) / np.sqrt(2 / 3)
    assert examples.cloud_scores[0] == pytest.approx([*expected, 0.0])


def test_short_lists_and_histories_are_padded():
    examples = build([choose(2, [1, 2], history=(7,))])
    assert examples.candidates[0].tolist() == [1, 2, 0, 0]
    assert examples.history[0].tolist() == [0, 0, 7]
    assert examples.label.tolist() == [1]


def test_equal_sources_of_randomness_draw_equal_examples():
    choices = [choose(5, list(range(1, 51)))]
    first, second, other = build(choices, 1), build(choices, 1), build(choices, 2)
    assert np.array_equal(first.candidates, second.candidates)
    assert not np.array_equal(first.candidates, other.candidates)


def test_nobody_s_log_gives_no_examples():
    examples = build([])
    assert len(examples) == 0
    assert examples.candidates.shape == (0, 4)

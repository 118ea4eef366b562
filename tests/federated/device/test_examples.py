import numpy as np
import pytest

from federated.device.examples import Choice, build_examples
from recsys.config.federated import DeviceSettings

SETTINGS = DeviceSettings(num_candidates=3, history_length=2, max_examples=2)
IMPRESSED = SETTINGS.model_copy(update={"passed_over_share": 1.0})


def choice(item_index, candidates, history=(), scores=None, passed_over=()):
    candidates = np.asarray(candidates, np.int32)
    scores = np.arange(len(candidates), 0, -1) if scores is None else scores
    return Choice(
        item_index,
        candidates,
        np.asarray(scores, np.float32),
        np.full(2, item_index, np.float32),
        np.asarray(history, np.int32),
        np.asarray(passed_over, np.int32),
    )


def build(*choices, settings=SETTINGS, seed=0):
    return build_examples(choices, 2, settings, np.random.default_rng(seed))


def test_a_choice_outside_its_list_was_never_seen_and_makes_no_example():
    assert len(build(choice(9, [1, 2, 3]))) == 0
    assert build(choice(9, [1, 2, 3])).candidates.shape == (0, 3)


def test_the_target_is_the_chosen_item_alone_unless_settings_say_otherwise():
    examples = build(choice(5, [4, 5, 6]), choice(6, [4, 5, 6]))
    assert examples.target.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert examples.query.tolist() == [[5, 5], [6, 6]]


def test_the_latest_choices_are_kept():
    examples = build(choice(1, [1, 2]), choice(2, [1, 2]), choice(9, [1, 2]), choice(1, [2, 1]))
    assert examples.candidates.tolist() == [[1, 2, 0], [2, 1, 0]]
    assert examples.target.tolist() == [[0, 1, 0], [0, 1, 0]]


def test_a_long_list_is_drawn_from_and_keeps_the_chosen_item_and_the_order():
    many = choice(50, np.arange(1, 101))
    for seed in range(10):
        row = build(many, seed=seed).candidates[0].tolist()
        assert 50 in row
        assert row == sorted(set(row))


def test_what_was_seen_and_passed_over_is_kept_before_what_was_not_seen():
    for seed in range(10):
        few = choice(50, np.arange(1, 101), passed_over=[70, 3])
        assert build(few, settings=IMPRESSED, seed=seed).candidates[0].tolist() == [3, 50, 70]


def test_of_more_that_was_passed_over_than_there_is_room_for_some_are_drawn():
    passed_over = list(range(60, 80))
    drawn = {index for seed in range(20) for index in build_one(passed_over, seed) if index != 50}
    assert drawn <= set(passed_over)
    assert len(drawn) > SETTINGS.num_candidates


def build_one(passed_over, seed):
    many = choice(50, np.arange(1, 101), passed_over=passed_over)
    return build(many, settings=IMPRESSED, seed=seed).candidates[0].tolist()


def test_a_share_of_the_others_was_passed_over():
    settings = IMPRESSED.model_copy(update={"num_candidates": 21, "passed_over_share": 0.25})
    for seed in range(10):
        row = build(choice(1, np.arange(1, 1001), passed_over=range(2, 52)), settings=settings, seed=seed).candidates[0]
        assert 5 <= ((row >= 2) & (row < 52)).sum() < 20
        assert len(set(row.tolist())) == 21


def test_the_target_tells_what_was_chosen_soon_after_of_what_is_kept():
    settings = SETTINGS.model_copy(update={"correction_share": 0.5})
    examples = build(choice(5, [4, 5, 6]), choice(6, [4, 5, 6]), settings=settings)
    assert examples.target.tolist() == [[0, 0.5, 0.5], [0, 0, 1]]


def test_scores_are_standardised_over_the_whole_list_before_the_draw():
    # Scores 4, 2, 0, -2: mean 1, deviation sqrt(5); whatever is drawn keeps the value that it has in the whole list.
    examples = build(choice(1, [1, 2, 3, 4], scores=[4, 2, 0, -2]))
    whole = dict(zip([1, 2, 3, 4], (np.asarray([3, 1, -1, -3]) / np.sqrt(5)).tolist(), strict=True))
    drawn = [whole[index] for index in examples.candidates[0].tolist()]
    np.testing.assert_allclose(examples.cloud_scores[0], drawn, rtol=1e-6)


def test_a_short_list_is_padded_with_zeros():
    examples = build(choice(7, [8, 7]))
    assert examples.candidates.tolist() == [[8, 7, 0]]
    assert examples.cloud_scores.tolist() == [[1, -1, 0]]


def test_history_is_the_latest_padded_on_the_left():
    examples = build(choice(1, [1, 2], history=[3, 4, 5]), choice(1, [1, 2], history=[6]))
    assert examples.history.tolist() == [[4, 5], [0, 6]]


def test_an_equal_seed_gives_equal_examples_and_another_does_not():
    many = [choice(50, np.arange(1, 101))]
    first, again, other = (build(*many, seed=seed).candidates for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("field", ["candidates", "history"])
def test_indexes_are_int32(field):
    assert getattr(build(choice(1, [1, 2])), field).dtype == np.int32

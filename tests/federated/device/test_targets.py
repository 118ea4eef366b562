import numpy as np
import pytest

from federated.device.targets import build_target
from recsys.config.federated import DeviceSettings

CANDIDATES = np.asarray([4, 7, 9, 2], np.int32)
SCORES = np.asarray([1.0, 0.0, -1.0, 2.0], np.float32)


def target(*chosen, **settings):
    return build_target(CANDIDATES, SCORES, np.asarray(chosen, np.int32), DeviceSettings(**settings))


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


def test_by_default_the_chosen_item_has_all():
    assert target(7, 9).tolist() == [0, 1, 0, 0]


def test_the_teacher_has_its_share_of_every_candidate():
    expected = 0.75 * np.asarray([0, 1, 0, 0]) + 0.25 * softmax(SCORES / 2.0)
    np.testing.assert_allclose(target(7, teacher_share=0.25, teacher_temperature=2.0), expected, atol=1e-6)


def test_a_high_temperature_makes_the_teacher_even():
    np.testing.assert_allclose(target(7, teacher_share=0.4, teacher_temperature=1e6), [0.1, 0.7, 0.1, 0.1], atol=1e-5)


def test_what_was_chosen_soon_after_shares_the_corrected_part():
    np.testing.assert_allclose(target(7, 2, 5, 4, correction_share=0.4), [0.2, 0.6, 0, 0.2], atol=1e-6)


def test_what_was_chosen_later_than_soon_is_a_negative():
    settings = {"correction_share": 0.4, "correction_window": 2}
    np.testing.assert_allclose(target(7, 5, 2, 4, **settings), [0, 0.6, 0, 0.4], atol=1e-6)


def test_without_a_later_choice_in_the_list_nothing_is_corrected():
    assert target(7, 5, 7, correction_share=0.4).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_target_is_a_distribution(share):
    both = target(9, 4, teacher_share=share, correction_share=0.5)
    assert both.dtype == np.float32
    assert both.min() >= 0
    assert both.sum() == pytest.approx(1, abs=1e-6)

import numpy as np
import pytest

from federated.simulation.release import decide
from recsys.config.federated import ReleaseSettings
from recsys.errors import ContractError

CAUTIOUS = ReleaseSettings(tolerance=0.0)


def judge(gains, *, is_first=False, settings=CAUTIOUS):
    """On people for whom the cloud alone comes to 0.5 and the current tower to 0.25."""
    gains = np.asarray(gains, np.float64)
    base = 0.5 if is_first else 0.25
    values = {name: np.full(len(gains), value) for name, value in (("cloud_only", 0.5), ("before", 0.25))}
    return decide({**values, "after": base + gains}, is_first=is_first, settings=settings, seed=0)


def test_a_tower_that_is_better_for_everybody_is_released():
    release = judge([0.125] * 4)
    assert (release.is_better, release.is_released, release.num_users) == (True, True, 4)
    assert (release.difference.mean, release.difference.low) == (0.125, 0.125)


def test_a_tower_that_changes_nothing_is_not():
    assert not judge([0.0] * 4, settings=ReleaseSettings(tolerance=1.0)).is_released


def test_a_better_mean_is_not_enough_where_chance_could_have_given_it():
    # One in a hundred gains all: 37 % of the resamples miss it.
    release = judge([0.0] * 99 + [0.5, -0.01])
    assert release.difference.mean > 0 > release.difference.low
    assert not release.is_better


def test_within_the_tolerance_the_interval_may_begin_below_zero():
    gains = [0.0] * 99 + [0.5, -0.01]
    assert judge(gains, settings=ReleaseSettings(tolerance=0.01)).is_released


def test_a_first_tower_is_compared_with_the_cloud_alone_and_a_later_one_with_its_predecessor():
    assert judge([0.1] * 4, is_first=True).compared_with == "cloud_only"
    assert judge([0.1] * 4, is_first=False).compared_with == "before"
    assert judge([-0.1] * 4, is_first=True).difference.mean == pytest.approx(-0.1)


def test_a_tower_that_is_published_anyway_is_no_better_for_it():
    release = judge([-0.1] * 4, settings=ReleaseSettings(publish_anyway=True))
    assert (release.is_better, release.is_released) == (False, True)
    assert release.explain().startswith("Released anyway: NDCG@10 of 4 held-out people is -0.1000 (-0.1000 to -0.1000)")


def test_the_explanation_says_what_was_compared_and_what_was_wanted():
    assert judge([0.1] * 4, is_first=True).explain() == (
        "Released: NDCG@10 of 4 held-out people is +0.1000 (+0.1000 to +0.1000) against the order of the cloud alone."
    )
    assert judge([-0.1] * 4, settings=ReleaseSettings()).explain() == (
        "Not released: NDCG@10 of 4 held-out people is -0.1000 (-0.1000 to -0.1000) against the current tower; "
        "a release needs a mean above 0 and an interval from -0.005 up."
    )


def test_nobody_decides_nothing():
    with pytest.raises(ContractError, match="at least one user, got none"):
        judge([])

"""Outputs become log-odds: slope and offset that can be checked on paper."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.training.calibration import fit_calibration


def test_outputs_that_say_how_often_stay_as_they_are() -> None:
    outputs = np.repeat(np.log([1 / 3, 3.0]), 4_000)  # chances of a quarter and of three quarters
    labels = np.tile([True, False, False, False], 2_000)
    labels[4_000:] = ~labels[4_000:]
    assert fit_calibration(outputs, labels) == pytest.approx((1.0, 0.0), abs=0.01)


def test_outputs_that_are_too_sure_and_shifted_are_drawn_back() -> None:
    outputs = 2.0 * np.repeat(np.log([1 / 3, 3.0]), 40_000) + 1.0
    labels = np.tile([True, False, False, False], 20_000)
    labels[40_000:] = ~labels[40_000:]
    assert fit_calibration(outputs, labels) == pytest.approx((0.5, -0.5), abs=0.01)


def test_an_order_is_never_turned_round() -> None:
    slope, _ = fit_calibration(np.repeat([-1.0, 1.0], 500), np.repeat([True, False], 500))
    assert slope > 0


def test_no_rows_change_nothing() -> None:
    assert fit_calibration(np.zeros(0), np.zeros(0, np.bool_)) == (1.0, 0.0)


def test_outputs_far_off_give_finite_numbers() -> None:
    assert np.isfinite(fit_calibration(np.array([-1e4, 1e4, 1e4]), np.array([True, False, True]))).all()

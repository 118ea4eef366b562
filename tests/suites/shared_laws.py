"""Property tests that several classes inherit."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

shared_law = settings(suppress_health_check=[HealthCheck.differing_executors])
"""Hypothesis suspects a mistake where one property is run on several classes; in a suite that is the point."""

"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import settings

# The first example of a test may pay for an import; equal runs draw equal examples.
settings.register_profile("tandem", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tandem")

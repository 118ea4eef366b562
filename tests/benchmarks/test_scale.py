from __future__ import annotations

import json

import pytest

from benchmarks.scale import measure_growth
from recsys.config.cloud import RetrievalSettings


def test_what_a_catalogue_costs_is_told_per_step_and_per_item():
    settings = RetrievalSettings(dim=8, history_length=4, batch_size=2, num_negatives=10)
    figures = measure_growth(3_000, settings)
    assert figures["num_items"] == 3_000
    assert figures["step_s"] > 0
    assert figures["embed_items_per_s"] > 0
    # An id is 8 numbers of 4 bytes; beside them lie 101 categories of 32 bytes and the graph of a few kilobytes.
    assert figures["tower_bytes_per_item"] == pytest.approx(32, abs=4)
    assert json.loads(json.dumps(figures)) == figures

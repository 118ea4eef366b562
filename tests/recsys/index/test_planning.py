from __future__ import annotations

import pytest

from recsys.errors import ConfigError
from recsys.index.planning import count_cells, plan_index

MUCH = 2**40


@pytest.mark.parametrize(
    ("num_items", "factory"),
    [
        (1, "Flat"),
        (50_000, "Flat"),
        (50_001, "HNSW32"),
        (200_000, "HNSW32"),
        (200_001, "IVF512,PQ32x4fsr,RFlat"),
        (1_000_000, "IVF1024,PQ32x4fsr,RFlat"),
        (1_000_000_000, "IVF32768,PQ32x4fsr,RFlat"),
    ],
)
def test_the_size_of_the_catalogue_chooses_the_kind(num_items, factory):
    assert plan_index(num_items, 64, MUCH).factory == factory


@pytest.mark.parametrize(
    ("bytes_per_item", "factory"),
    [
        (280, "IVF1024,PQ32x4fsr,RFlat"),
        (279, "IVF1024,PQ32x4fsr,Refine(SQfp16)"),
        (152, "IVF1024,PQ32x4fsr,Refine(SQfp16)"),
    ],
)
def test_a_million_vectors_of_64_take_what_memory_there_is(bytes_per_item, factory):
    # Codes of 32 half bytes and an id of 8, beside 64 numbers of 4 or 2 bytes: 16 + 8 + 256 and 16 + 8 + 128.
    plan = plan_index(1_000_000, 64, 1_000_000 * bytes_per_item)
    assert plan.factory == factory
    assert plan.size_bytes <= 1_000_000 * bytes_per_item


def test_a_graph_whose_links_do_not_fit_gives_way_to_cells():
    # 256 bytes of vector, 64 links of 4 bytes, an id of 8.
    assert plan_index(100_000, 64, 100_000 * 520).factory == "HNSW32"
    assert plan_index(100_000, 64, 100_000 * 519).factory == "IVF512,PQ32x4fsr,RFlat"


def test_an_odd_length_is_coded_number_by_number():
    assert plan_index(1_000_000, 7, MUCH).factory == "IVF1024,PQ7x4fsr,RFlat"


@pytest.mark.parametrize(
    ("num_items", "memory_bytes", "message"),
    [
        (1_000_000, 151_999_999, r"of 1000000 items, got 151999999 bytes, and .*SQfp16\) takes 152000000"),
        (100, 25_599, r"of 100 items, got 25599 bytes, and Flat takes 25600. Raise `index.memory_mb`"),
    ],
)
def test_a_catalogue_that_fits_in_no_way_says_what_it_needs(num_items, memory_bytes, message):
    with pytest.raises(ConfigError, match=message):
        plan_index(num_items, 64, memory_bytes)


@pytest.mark.parametrize(
    ("num_items", "cells"), [(1, 1), (16, 4), (17, 8), (10**6, 1_024), (10**9, 32_768), (10**10, 65_536)]
)
def test_cells_grow_with_the_root_of_the_items(num_items, cells):
    assert count_cells(num_items) == cells

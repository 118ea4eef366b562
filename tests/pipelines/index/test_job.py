from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.index.job import METRICS_FILE, build_index, choose_factory, encode_queries
from recsys.cascade.rerank import QueryEncoder
from recsys.config.cloud import IndexSettings
from recsys.contracts.bundle import EMBEDDINGS_FILE, INDEX_FILE, QUERY_TOWER_FILE
from recsys.errors import ConfigError, TrainingError
from recsys.index.faiss_index import FaissIndex
from recsys.storage.registry import Bundle

COARSE = "IVF16,Flat"
"""Looks into one cell of sixteen: fast, and blind to most of the catalogue."""


def build(trained: Bundle, examples_dir: Path, settings: IndexSettings, folder: Path) -> dict[str, float]:
    return build_index(examples_dir, trained.path(EMBEDDINGS_FILE), trained.path(QUERY_TOWER_FILE), settings, folder)


def test_a_flat_index_finds_everything_and_says_so(trained: Bundle, examples_dir: Path, tmp_path: Path) -> None:
    metrics = build(trained, examples_dir, IndexSettings(recall_floor=1.0), tmp_path)
    assert metrics["index_recall_at_100"] == 1.0
    assert metrics["index_queries"] == 20
    assert FaissIndex.load(tmp_path / INDEX_FILE).num_items == trained.manifest.num_items
    assert json.loads((tmp_path / METRICS_FILE).read_text()) == metrics


def test_an_index_below_its_floor_is_refused_and_not_written(
    trained: Bundle, examples_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"'IVF16,Flat' to find at least 0.950 .* got 0\.\d+. Nothing is published"):
        build(trained, examples_dir, IndexSettings(factory=COARSE), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_floor_is_what_decides(trained: Bundle, examples_dir: Path, tmp_path: Path) -> None:
    metrics = build(trained, examples_dir, IndexSettings(factory=COARSE, recall_floor=0.0), tmp_path)
    assert 0 < metrics["index_recall_at_100"] < 0.95


def test_a_factory_that_faiss_does_not_know_is_named(trained: Bundle, examples_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Expected an index factory that 68 vectors can train, got 'Flatt'"):
        build(trained, examples_dir, IndexSettings(factory="Flatt"), tmp_path)


def test_examples_without_histories_cannot_measure(trained: Bundle, tmp_path: Path) -> None:
    encoder = QueryEncoder(trained.read_bytes(QUERY_TOWER_FILE))
    with pytest.raises(TrainingError, match=r"Expected users with positive events in .*, got none to measure with"):
        encode_queries(tmp_path, np.zeros((2, 8), np.float32), encoder)


def test_auto_chooses_the_effort_as_well_as_the_kind(trained: Bundle, examples_dir: Path, tmp_path: Path) -> None:
    assert choose_factory(IndexSettings(), 68, 8) == "Flat"
    assert choose_factory(IndexSettings(), 1_000_000, 64) == "IVF1024,PQ32x4fsr,RFlat"
    assert choose_factory(IndexSettings(memory_mb=200), 1_000_000, 64) == "IVF1024,PQ32x4fsr,Refine(SQfp16)"
    assert choose_factory(IndexSettings(factory=COARSE), 1_000_000, 64) == COARSE
    assert build(trained, examples_dir, IndexSettings(), tmp_path)["index_effort"] == 1.0


def test_a_catalogue_that_fits_in_no_memory_is_told_what_it_needs() -> None:
    with pytest.raises(ConfigError, match=r"takes 152000000. Raise `index.memory_mb`"):
        choose_factory(IndexSettings(memory_mb=100), 1_000_000, 64)

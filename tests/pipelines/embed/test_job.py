from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.embed.job import embed
from pipelines.prepare.layout import REPORT
from recsys.contracts.bundle import EMBEDDINGS_FILE, ITEM_TOWER_FILE, VOCABULARY_FILE
from recsys.errors import BundleError
from recsys.features.catalogue import Catalogue
from recsys.runtime.tower import Tower
from recsys.storage.registry import Bundle
from recsys.storage.snapshot import read_snapshot


def test_every_item_gets_the_vector_of_the_tower_rounded_to_half_precision(trained: Bundle, tmp_path: Path) -> None:
    snapshot = embed(trained.path(VOCABULARY_FILE), trained.path(ITEM_TOWER_FILE), tmp_path, batch_items=7)
    catalogue = Catalogue.from_vocabulary(pq.read_table(trained.path(VOCABULARY_FILE)))
    tower = Tower(trained.read_bytes(ITEM_TOWER_FILE), "embed")
    assert snapshot.item_ids == catalogue.item_ids
    for index in range(1, catalogue.num_items + 1):
        own, content = np.array([index], np.int32), catalogue.categories[[index]]
        known = own if catalogue.positives[index] > 0 else np.array([0], np.int32)
        vector = tower(item_index=known, categories=content)["vector"][0]
        np.testing.assert_allclose(snapshot.vectors[index - 1], vector, rtol=2e-3, atol=1e-6)
    assert np.array_equal(snapshot.vectors, snapshot.vectors.astype(np.float16).astype(np.float32))


def test_an_item_without_training_positives_is_placed_where_its_content_alone_places_it(
    trained: Bundle, tmp_path: Path
) -> None:
    table = pq.read_table(trained.path(VOCABULARY_FILE))
    catalogue = Catalogue.from_vocabulary(table)
    (cold, *_) = np.flatnonzero((catalogue.positives[1:] > 0) & (catalogue.categories[1:, 0] > 0))
    counts = table.column("num_positives").to_numpy().copy()
    counts[cold] = 0
    place = table.schema.get_field_index("num_positives")
    forgotten = table.set_column(place, table.schema.field("num_positives"), pa.array(counts))
    pq.write_table(forgotten, tmp_path / "vocabulary.parquet")
    before = embed(trained.path(VOCABULARY_FILE), trained.path(ITEM_TOWER_FILE), tmp_path)
    after = embed(tmp_path / "vocabulary.parquet", trained.path(ITEM_TOWER_FILE), tmp_path)
    assert np.flatnonzero((before.vectors != after.vectors).any(axis=1)).tolist() == [cold]
    unknown = {"item_index": np.zeros(1, np.int32), "categories": catalogue.categories[[cold + 1]]}
    vector = Tower(trained.read_bytes(ITEM_TOWER_FILE), "embed")(**unknown)["vector"][0]
    np.testing.assert_allclose(after.vectors[cold], vector, rtol=2e-3, atol=1e-6)


def test_the_snapshot_is_written_and_nothing_else_stays(trained: Bundle, tmp_path: Path) -> None:
    snapshot = embed(trained.path(VOCABULARY_FILE), trained.path(ITEM_TOWER_FILE), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [EMBEDDINGS_FILE, REPORT]
    assert read_snapshot(tmp_path / EMBEDDINGS_FILE) == snapshot
    assert snapshot.version == trained.manifest.embedding_version


def test_a_file_that_is_no_tower_is_refused(trained: Bundle, tmp_path: Path) -> None:
    (tmp_path / "tower").write_bytes(b"no tower")
    with pytest.raises(BundleError, match="Expected a LiteRT model, got 8 bytes"):
        embed(trained.path(VOCABULARY_FILE), tmp_path / "tower", tmp_path)

"""A small real bundle: a synthetic world, towers as they are initialised, everything signed and published.

Training is left out, so that it takes seconds; every file is of the real kind. Rooms that need it import the fixtures:

    from tests.bundles import bundled_workspace, own_workspace  # noqa: F401
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.config.cloud import RankerSettings
from recsys.config.data import DataSettings, WorldSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts import bundle as names
from recsys.contracts.arrays import Float32Array
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS, SURFACE_CODES
from recsys.exchange.rounding import round_to_float16
from recsys.features.catalogue import VOCABULARY_SCHEMA, Catalogue
from recsys.features.responses import RESPONSES_SCHEMA
from recsys.index.faiss_index import FaissIndex
from recsys.storage.lock import hold_lock
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.snapshot import read_snapshot, write_snapshot
from recsys.storage.workspace import Workspace

WORLD = WorldSettings(num_users=40, num_items=120, num_streamers=20, num_categories=6, num_days=5, sessions_per_user=8)
DIM = 16
HISTORY_LENGTH = 20
SEED = 7

_REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def bundled_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a published bundle and consented histories; built once, not to be written to."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root = shared / "bundled-workspace"
    with hold_lock(shared / "bundled-workspace.lock"):
        if not root.exists():
            partial = shared / "bundled-workspace.partial"
            # Its own process: TensorFlow stays out of the one that runs the tests.
            command = [sys.executable, "-m", "tests.bundles", str(partial)]
            done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.fail(f"The bundle for the tests could not be built:\n{done.stderr[-4000:]}")
            partial.rename(root)
    return Workspace(root)


@pytest.fixture
def own_workspace(bundled_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy that the test may change."""
    shutil.copytree(bundled_workspace.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def publish_variant(workspace: Workspace, num_changed: int = 5, seed: int = 1) -> Bundle:
    """Publishes the current bundle again with other vectors for its first items, index included."""
    registry = BundleRegistry(workspace)
    current = registry.current()
    snapshot = read_snapshot(current.read_bytes(names.EMBEDDINGS_FILE))
    vectors = snapshot.vectors.copy()
    noise = np.random.default_rng(seed).normal(size=(num_changed, snapshot.dim)).astype(np.float32)
    vectors[:num_changed] = round_to_float16(vectors[:num_changed] + noise)
    files = {name: current.path(name) for name in current.manifest.files}
    catalogue = Catalogue.from_vocabulary(pq.read_table(io.BytesIO(current.read_bytes(names.VOCABULARY_FILE))))
    return _publish(workspace, files, catalogue, EmbeddingSnapshot(snapshot.item_ids, vectors), current)


def build_workspace(root: Path) -> Bundle:
    """Ingests a small world into `root`, exports towers as they are initialised, and publishes them (TensorFlow)."""
    from pipelines.ingestion import ingest

    workspace = Workspace(root)
    ingest(workspace, "synthetic", DataSettings(world=WORLD), SEED)
    histories = _consented_histories(workspace)
    vocabulary = _vocabulary(workspace, histories)
    catalogue = Catalogue.from_vocabulary(vocabulary)
    towers = _export_towers(catalogue)
    files: dict[str, Path | bytes] = {
        names.ITEMS_FILE: workspace.items,
        names.ROOMS_FILE: workspace.rooms,
        names.VOCABULARY_FILE: _parquet(vocabulary),
        names.RESPONSES_FILE: _parquet(_count_responses(workspace, catalogue)),
        names.ITEM_TO_ITEM_FILE: _parquet(_count_statistics(histories, catalogue)),
        **towers,
    }
    vectors = _embed(towers[names.ITEM_TOWER_FILE], catalogue)
    bundle = _publish(workspace, files, catalogue, EmbeddingSnapshot(catalogue.item_ids, vectors), None)
    store = SQLiteSessionStore(workspace.state / "sessions.sqlite", max_items=200)
    store.append(histories)
    store.close()
    return bundle


def _publish(
    workspace: Workspace,
    files: dict[str, Path | bytes],
    catalogue: Catalogue,
    snapshot: EmbeddingSnapshot,
    parent: Bundle | None,
) -> Bundle:
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / names.INDEX_FILE
        FaissIndex.build(catalogue.align(snapshot), "Flat").save(index)
        files = {**files, names.EMBEDDINGS_FILE: write_snapshot(snapshot), names.INDEX_FILE: index}
        card = workspace.read_card()
        return BundleRegistry(workspace).publish(
            files,
            dataset=card.name,
            split_fingerprint=card.split_fingerprint,
            embedding_version=snapshot.version,
            dim=snapshot.dim,
            history_length=HISTORY_LENGTH,
            num_items=catalogue.num_items,
            parent=None if parent is None else parent.manifest.version,
            metrics={"recall": 1.0},
        )


def _consented_histories(workspace: Workspace) -> dict[str, list[str]]:
    """Returns what each person liked, oldest first, out of the consented log."""
    table = pq.read_table(workspace.events).sort_by([("timestamp_ms", "ascending"), ("event_id", "ascending")])
    histories: dict[str, list[str]] = defaultdict(list)
    for row in table.select(["user_id", "item_id", "action"]).to_pylist():
        if row["action"] in POSITIVE_ACTIONS:
            histories[row["user_id"]].append(row["item_id"])
    return dict(histories)


def _vocabulary(workspace: Workspace, histories: dict[str, list[str]]) -> pa.Table:
    counts = Counter(item_id for history in histories.values() for item_id in history)
    items = pq.read_table(workspace.items).sort_by("item_id").to_pylist()
    labels = sorted({label for item in items for label in item["categories"]})
    number = {label: place for place, label in enumerate(labels, start=1)}
    rows = [
        {
            "item_id": item["item_id"],
            "surface": SURFACE_CODES[item["surface"]],
            "category_indexes": [number[label] for label in item["categories"]],
            "num_impressions": 2 * counts[item["item_id"]],
            "num_positives": counts[item["item_id"]],
            "num_recent": counts[item["item_id"]] // 4,
        }
        for item in items
    ]
    metadata = {"num_categories": str(len(labels))}
    return pa.Table.from_pylist(rows, schema=VOCABULARY_SCHEMA).replace_schema_metadata(metadata)


def _count_responses(workspace: Workspace, catalogue: Catalogue) -> pa.Table:
    table = pq.read_table(workspace.events, columns=["item_id", "action"])
    indexes = catalogue.index_of(table.column("item_id").to_pylist()).tolist()
    actions = [ACTION_CODES[action] for action in table.column("action").to_pylist()]
    rows = [
        {"item_index": index, "action": action, "num_trained": number, "num_known": number}
        for (index, action), number in sorted(Counter(zip(indexes, actions, strict=True)).items())
    ]
    return pa.Table.from_pylist(rows, schema=RESPONSES_SCHEMA)


def _count_statistics(histories: dict[str, list[str]], catalogue: Catalogue) -> pa.Table:
    from pipelines.statistics import pairs, weights
    from pipelines.statistics.histories import Histories, keep_distinct

    lists = [catalogue.index_of(history) for history in histories.values()]
    people = Histories(np.cumsum([0, *map(len, lists)]), np.concatenate(lists))
    distinct, width = keep_distinct(people, 1_000), catalogue.num_items + 1
    choices, users = pairs.count_items(people, distinct, width)
    followed = pairs.count_transitions(people, width, 30, 0.8)
    together = pairs.count_co_occurrences(distinct, width)
    items, ease = weights.solve_ease(together, width, 400.0)
    kinds = (
        ("transitions", followed.keys, weights.weigh_transitions(followed, choices, 0.15)),
        ("co_occurrence", together.keys, weights.weigh_co_occurrences(together, users)),
        ("ease", (items[:, None] * width + items).ravel(), ease.ravel()),
    )
    return pa.concat_tables([weights.keep_strongest(kind, keys, ties, width, 50) for kind, keys, ties in kinds])


def _export_towers(catalogue: Catalogue) -> dict[str, bytes]:
    import tensorflow as tf

    from recsys.models import export
    from recsys.models.device_export import export_device_files
    from recsys.models.device_tower import build_device_tower
    from recsys.models.item_tower import ItemTower
    from recsys.models.query_tower import QueryTower
    from recsys.models.ranker import Ranker

    tf.keras.utils.set_random_seed(SEED)
    device_tower = build_device_tower(DIM, DeviceSettings(), SEED)
    ranker = Ranker(DIM, RankerSettings(hidden_units=(16, 8)))
    _disturb(ranker)
    query_tower = QueryTower(DIM, HISTORY_LENGTH, num_blocks=1, num_heads=2)
    return {
        names.ITEM_TOWER_FILE: export.export_item_tower(ItemTower(catalogue.num_items, catalogue.num_categories, DIM)),
        names.QUERY_TOWER_FILE: export.export_query_tower(query_tower),
        names.QUERY_TOWER_INT8_FILE: export.export_query_tower(query_tower, int8=True),
        names.RANKER_FILE: export.export_ranker(ranker),
        **export_device_files(device_tower, DeviceSettings()),
    }


def _disturb(ranker: object) -> None:
    """Moves the ranker off its start, at which it would only repeat the order of retrieval."""
    weight = next(weight for weight in ranker.weights if "correction" in weight.name)
    weight.assign(np.random.default_rng(SEED).normal(scale=0.3, size=weight.shape))


def _embed(item_tower: bytes, catalogue: Catalogue) -> Float32Array:
    from recsys.runtime.tower import Tower

    indexes = np.arange(1, catalogue.num_items + 1, dtype=np.int32)
    embedded = Tower(item_tower, "embed")(item_index=indexes, categories=catalogue.categories[1:])
    return round_to_float16(embedded["vector"])


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


if __name__ == "__main__":
    build_workspace(Path(sys.argv[1]))

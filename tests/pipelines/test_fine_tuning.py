"""A day of new events: on Monday every item is followed by the next of a circle, on Tuesday by the seventh after it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.dataset import raw_event_schema
from pipelines.ancestor import DEVICE_FILES
from pipelines.ingestion import append, ingest
from pipelines.job import train
from recsys.cascade.cloud import CloudModel
from recsys.config.cloud import CloudSettings, FineTuningSettings, RankerSettings, RetrievalSettings
from recsys.config.data import DataSettings
from recsys.contracts import bundle as names
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.errors import BundleError, WorkspaceError
from recsys.exchange.delta import apply_delta
from recsys.exchange.message import decode_delta
from recsys.features.catalogue import Catalogue
from recsys.progress import Silent
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.snapshot import read_snapshot
from recsys.storage.workspace import Workspace
from tests.pipelines.conftest import make_items
from tests.serving.conftest import start

NUM_ITEMS = 40
NEW_ITEMS = ("a_new", "b_new", "z_new")
TUESDAY_MS = 1_000_000_000
SETTINGS = CloudSettings(
    retrieval=RetrievalSettings(
        dim=16, history_length=10, num_blocks=1, num_heads=1, batch_size=16, learning_rate=0.02, max_epochs=20
    ),
    ranker=RankerSettings(num_candidates=10, hidden_units=(8,), num_cross_layers=1, batch_size=16, max_epochs=1),
    fine_tuning=FineTuningSettings(retrieval_max_epochs=15, retrieval_learning_rate=0.01, ranker_max_epochs=1),
)


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def walk(user: str, start: int, step: int, count: int, start_ms: int) -> list[dict[str, object]]:
    return [
        {
            "event_id": f"{user}-{start_ms}-{place}",
            "user_id": user,
            "item_id": f"m{(start + step * place) % NUM_ITEMS:02d}",
            "action": "click",
            "surface": "feed",
            "timestamp_ms": start_ms + 1000 * place,
        }
        for place in range(count)
    ]


def write(folder: Path, events: list[dict[str, object]], items: dict[str, list[str]]) -> Path:
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(events, schema=raw_event_schema()), folder / "events.parquet")
    pq.write_table(make_items(items), folder / "items.parquet")
    return folder


def write_monday(folder: Path) -> Path:
    events = [row for user in range(60) for row in walk(f"u{user:02d}", user, 1, 10, 1000)]
    return write(folder, events, {f"m{number:02d}": [f"c{number % 4}"] for number in range(NUM_ITEMS)})


def write_tuesday(folder: Path) -> Path:
    """Everybody goes on for a while, and some whom nobody knows choose new items."""
    events = [row for user in range(60) for row in walk(f"u{user:02d}", user, 7, 20, TUESDAY_MS)]
    for user in range(12):
        chosen = walk(f"v{user:02d}", user, 7, 9, TUESDAY_MS)
        for row, item in zip(chosen[::3], NEW_ITEMS, strict=True):
            row["item_id"] = item
        events += chosen
    return write(folder, events, {"b_new": ["c1"], "a_new": ["a_category"], "z_new": ["c2"]})


@dataclass(frozen=True)
class Days:
    workspace: Workspace
    monday: Bundle
    tuesday: Bundle
    notes: list[str]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    root = tmp_path_factory.mktemp("days")
    workspace = Workspace(root / "workspace")
    ingest(workspace, "events", DataSettings(), 0, write_monday(root / "monday"))
    monday = train(workspace, SETTINGS, 1, Silent())
    append(workspace, write_tuesday(root / "tuesday"))
    heard = Heard()
    return Days(workspace, monday, train(workspace, SETTINGS, 1, heard, fine_tune=True), heard.notes)


def vocabulary(bundle: Bundle) -> pa.Table:
    return pq.read_table(bundle.path(names.VOCABULARY_FILE))


def snapshot(bundle: Bundle) -> EmbeddingSnapshot:
    return read_snapshot(bundle.read_bytes(names.EMBEDDINGS_FILE))


def judge(workspace: Workspace, bundle: Bundle) -> float:
    """Hit rate at 3, over the whole catalogue, of what people chose on Tuesday and no cloud or device knows."""
    model, hits = CloudModel.load(bundle), []
    for path in workspace.devices.glob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for user_id in {row["user_id"] for row in rows}:
            own = [row for row in rows if row["user_id"] == user_id]
            items = model.catalogue.index_of([row["item_id"] for row in own])
            for place, row in enumerate(own):
                if row["part"] == "heldout":
                    assert row["timestamp_ms"] >= TUESDAY_MS
                    scores = model.vectors @ model.encode(items[:place])
                    scores[0] = -np.inf
                    hits.append(int((scores > scores[items[place]]).sum()) < 3)
    assert len(hits) == 60 * 3
    return float(np.mean(hits))


def test_known_items_and_categories_keep_their_numbers_and_new_ones_come_last(days: Days) -> None:
    known, now = vocabulary(days.monday), vocabulary(days.tuesday)
    assert now.column("item_id").to_pylist() == [*known.column("item_id").to_pylist(), *NEW_ITEMS]
    categories = now.column("category_indexes").to_pylist()
    assert categories[:NUM_ITEMS] == known.column("category_indexes").to_pylist()
    assert categories[NUM_ITEMS:] == [[5], [2], [3]]
    assert (Catalogue.from_vocabulary(known).num_categories, Catalogue.from_vocabulary(now).num_categories) == (4, 5)


def test_the_delta_leads_devices_from_mondays_vectors_to_tuesdays(days: Days) -> None:
    before, after = snapshot(days.monday), snapshot(days.tuesday)
    assert set(after.item_ids) - set(before.item_ids) == set(NEW_ITEMS)
    with start(days.workspace) as client:
        response = client.get("/v1/embeddings/delta", params={"base": before.version})
    assert response.status_code == 200
    assert apply_delta(before, decode_delta(response.content)) == after
    report = json.loads((days.workspace.reports / f"train-{days.tuesday.manifest.version}.json").read_text())
    assert report["delta"] == {
        "base_version": before.version,
        "version": after.version,
        "num_added": 3,
        "num_changed": NUM_ITEMS,
        "num_removed": 0,
        "size_bytes": len(response.content),
    }
    assert days.notes[-1] == (
        f"delta for devices from {before.version}: 3 vectors added, 40 changed, {len(response.content):,} bytes"
    )


def test_the_fine_tuned_models_know_tuesday_better(days: Days) -> None:
    before, after = judge(days.workspace, days.monday), judge(days.workspace, days.tuesday)
    assert before < 0.3
    assert after > before + 0.4


def test_the_new_bundle_names_its_parent_and_keeps_its_device_tower(days: Days) -> None:
    assert days.tuesday.manifest.parent == days.monday.manifest.version
    for name in DEVICE_FILES:
        assert days.tuesday.manifest.files[name] == days.monday.manifest.files[name]
    assert days.tuesday.manifest.metrics["retrieval_epochs"] <= 15


def test_a_rerun_with_nothing_new_does_nothing(days: Days) -> None:
    heard = Heard()
    again = train(days.workspace, SETTINGS, 1, heard, fine_tune=True)
    assert again.manifest == days.tuesday.manifest
    assert heard.notes[-1] == f"Nothing new since bundle {days.tuesday.manifest.version}: nothing to do."
    assert len(BundleRegistry(days.workspace).versions()) == 2


def copy_back_to_monday(days: Days, root: Path) -> Workspace:
    """A workspace in which Tuesday was appended, but nothing was trained on it yet."""
    shutil.copytree(days.workspace.root, root)
    workspace = Workspace(root)
    workspace.current.write_text(f"{days.monday.manifest.version}\n")
    return workspace


def test_a_fine_tuning_begun_again_before_it_was_published_ends_in_the_same_bundle(days: Days, tmp_path: Path) -> None:
    workspace, heard = copy_back_to_monday(days, tmp_path / "workspace"), Heard()
    again = train(workspace, SETTINGS, 1, heard, fine_tune=True)
    assert again.manifest.files == days.tuesday.manifest.files
    assert sum("unchanged, made earlier" in note for note in heard.notes) == 9


def test_models_of_other_sizes_are_not_fine_tuned(days: Days, tmp_path: Path) -> None:
    workspace = copy_back_to_monday(days, tmp_path / "workspace")
    wider = SETTINGS.model_copy(update={"retrieval": SETTINGS.retrieval.model_copy(update={"dim": 8})})
    with pytest.raises(BundleError, match="They were written with other settings"):
        train(workspace, wider, 1, Silent(), fine_tune=True)


def test_a_longer_history_is_another_structure_and_no_growth(days: Days, tmp_path: Path) -> None:
    workspace = copy_back_to_monday(days, tmp_path / "workspace")
    longer = SETTINGS.model_copy(update={"retrieval": SETTINGS.retrieval.model_copy(update={"history_length": 12})})
    with pytest.raises(BundleError, match="They were written with other settings"):
        train(workspace, longer, 1, Silent(), fine_tune=True)


def test_a_bundle_whose_stages_are_gone_is_not_fine_tuned(days: Days, tmp_path: Path) -> None:
    workspace = copy_back_to_monday(days, tmp_path / "workspace")
    shutil.rmtree(workspace.models)
    with pytest.raises(WorkspaceError, match=r"Expected the retrieval stage of bundle .* without --fine-tune"):
        train(workspace, SETTINGS, 1, Silent(), fine_tune=True)


def test_a_catalogue_that_was_made_anew_is_not_fine_tuned(days: Days, tmp_path: Path) -> None:
    workspace = copy_back_to_monday(days, tmp_path / "workspace")
    items = pq.read_table(workspace.items)
    pq.write_table(items.replace_schema_metadata(None), workspace.items)
    with pytest.raises(WorkspaceError, match=r"Expected a catalogue that continues the 40 items of bundle"):
        train(workspace, SETTINGS, 1, Silent(), fine_tune=True)


def test_where_nothing_was_published_there_is_nothing_to_fine_tune(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    ingest(workspace, "events", DataSettings(), 0, write_monday(tmp_path / "monday"))
    with pytest.raises(WorkspaceError, match="Run `tandem train"):
        train(workspace, SETTINGS, 1, Silent(), fine_tune=True)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.statistics import job
from pipelines.statistics.job import count_statistics
from recsys.config.cloud import StatisticsSettings
from recsys.features.item_to_item import KINDS
from tests.pipelines.statistics.conftest import write_examples

SETTINGS = StatisticsSettings(decay=0.5, popularity_exponent=0.0, ease_regularisation=1.0)


def count(examples: Path, folder: Path, settings: StatisticsSettings = SETTINGS, batch_rows: int = 100) -> Path:
    folder.mkdir()
    count_statistics(examples, folder, settings, batch_rows=batch_rows)
    assert sorted(path.name for path in folder.iterdir()) == ["item_to_item.parquet", "report.json"]
    return folder / "item_to_item.parquet"


def rows_of(path: Path, kind: str) -> dict[int, dict[int, float]]:
    rows = [row for row in pq.read_table(path).to_pylist() if row["kind"] == kind]
    return {row["source"]: dict(zip(row["targets"], row["weights"], strict=True)) for row in rows}


def test_the_bundle_gets_what_follows_what_and_what_is_chosen_together(two_people: Path, tmp_path: Path) -> None:
    path = count(two_people, tmp_path / "out")
    # Of two choices of item 1, one was followed by 2 at once; 3 followed once at lag 2 and once at lag 1.
    assert rows_of(path, "transitions") == {1: {2: 0.5, 3: 0.75}, 2: {3: 1.0}}
    cosine = rows_of(path, "co_occurrence")
    assert cosine[1] == {2: pytest.approx(1 / np.sqrt(2), rel=1e-3), 3: 1.0}
    assert set(cosine) == {1, 2, 3}
    assert set(rows_of(path, "ease")) == {1, 2, 3}


def test_rows_stand_by_kind_and_source(two_people: Path, tmp_path: Path) -> None:
    table = pq.read_table(count(two_people, tmp_path / "out"))
    order = [(KINDS.index(row["kind"]), row["source"]) for row in table.to_pylist()]
    assert order == sorted(set(order))


def test_a_large_catalogue_goes_without_ease(two_people: Path, tmp_path: Path) -> None:
    path = count(two_people, tmp_path / "out", SETTINGS.model_copy(update={"ease_max_items": 4}))
    assert rows_of(path, "ease") == {}
    assert rows_of(path, "co_occurrence") != {}


def test_only_so_many_targets_are_kept(two_people: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"targets_per_item": 1, "ease_targets_per_item": 1})
    path = count(two_people, tmp_path / "out", settings)
    assert rows_of(path, "transitions") == {1: {3: 0.75}, 2: {3: 1.0}}
    assert {len(targets) for targets in rows_of(path, "ease").values()} == {1}


def test_parts_batches_and_blocks_make_no_difference_to_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    people = {f"user-{number:02d}": rng.integers(1, 20, size=number).tolist() for number in range(1, 25)}
    rows = [[(user, item, "click", 0) for item in items] for user, items in people.items()]
    one = write_examples(tmp_path / "one", [[row for part in rows for row in part]], 20)
    many = write_examples(tmp_path / "many", list(reversed(rows)), 20)
    expected = count(one, tmp_path / "out-one").read_bytes()
    assert count(many, tmp_path / "out-many", batch_rows=3).read_bytes() == expected
    monkeypatch.setattr(job, "BLOCK_ITEMS", 4)
    blocks = count(many, tmp_path / "out-blocks")
    assert pq.read_metadata(blocks).num_row_groups > pq.read_metadata(tmp_path / "out-one" / blocks.name).num_row_groups
    assert pq.read_table(blocks) == pq.read_table(tmp_path / "out-one" / blocks.name)


def test_a_log_without_positives_gives_no_rows(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", [[("u", 1, "impression", 0)]], 1)
    assert pq.read_table(count(examples, tmp_path / "out")).num_rows == 0

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import divided as layout
from data.dataset import Dataset
from data.divided import divided_schema, shard_schema, shards_of, write_divided, write_parts
from data.lawfulness import find_lawful
from data.registry import read_dataset
from data.split import Split, split_edge_cloud
from pipelines.shards.job import write_shards
from recsys.config.data import DataSettings
from recsys.errors import DatasetError, WorkspaceError
from recsys.progress import Silent
from tests.pipelines.conftest import TINY_DATA

REPOSITORY = Path(__file__).resolve().parents[3]
NUM_SHARDS = 5

KILL = """
import os, signal, sys
from pathlib import Path
from pipelines.shards.job import write_shards
from recsys.progress import Silent

flush, flushed = os.fsync, []

def die(descriptor):
    flushed.append(descriptor)
    if len(flushed) == 5:  # two for each shard, of the file and of its folder: the third is not in its place yet
        os.kill(os.getpid(), signal.SIGKILL)
    flush(descriptor)

os.fsync = die
write_shards(Path(sys.argv[1]), Path(sys.argv[2]), {num_shards}, Silent(), rows_per_run={rows})
"""


class Counted(Silent):
    """Keeps the numbers of shards that it is told."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.done: list[int] = []

    def stage(self, name: str, total: int | None = None) -> None:
        self.totals.append(total)

    def advance(self, done: int, **figures: float) -> None:
        self.done.append(done)


@pytest.fixture(scope="module")
def world() -> tuple[Dataset, Split]:
    """A log with unlawful rows in it, and with copies of an event under another time and another person."""
    dataset = read_dataset("synthetic", None, TINY_DATA, 1)
    first = dataset.events.slice(0, 1).to_pylist()[0]
    odd = [
        {**first, "action": "dance"},
        {**first, "user_id": None},
        {**first, "timestamp_ms": first["timestamp_ms"] + 1},
        {**first, "user_id": dataset.events.column("user_id")[-1].as_py()},
    ]
    events = pa.concat_tables([dataset.events, pa.Table.from_pylist(odd, schema=dataset.events.schema)])
    whole = Dataset(dataset.name, events, dataset.items, dataset.rooms, dataset.users)
    return whole, split_edge_cloud(events, DataSettings().split, find_lawful(events))


@pytest.fixture
def divided(world: tuple[Dataset, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of the 40 people of the world, over five shards."""
    monkeypatch.setattr(layout, "USERS_PER_SHARD", 8)
    dataset, split = world
    write_divided(tmp_path / "divided", dataset, split, find_lawful(dataset.events))
    return tmp_path / "divided"


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    (tmp_path / "devices").mkdir()
    return tmp_path / "devices"


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expect_rows(dataset: Dataset, split: Split) -> dict[str, list[dict[str, object]]]:
    """Everybody's events, worked out row by row: lawful, the first of each id, in the order of time."""
    known: set[str] = set()
    held: dict[str, list[dict[str, object]]] = {}
    for row, is_lawful, part in zip(
        dataset.events.to_pylist(), find_lawful(dataset.events), split.parts.to_pylist(), strict=True
    ):
        if is_lawful and row["event_id"] not in known:
            known.add(row["event_id"])
            held.setdefault(row["user_id"], []).append({**row, "part": part})
    return {user: sorted(rows, key=lambda row: (row["timestamp_ms"], row["event_id"])) for user, rows in held.items()}


def test_everybody_holds_their_lawful_events_once_in_the_order_of_time(
    world: tuple[Dataset, Split], divided: Path, devices: Path
) -> None:
    write_shards(divided, devices, NUM_SHARDS, Silent())
    held: dict[str, list[dict[str, object]]] = {}
    for shard in range(NUM_SHARDS):
        table = pq.read_table(devices / f"shard-{shard:04d}.parquet")
        assert table.schema == shard_schema()
        users = table.column("user_id").to_pylist()
        assert users == sorted(users)
        assert set(shards_of(users, NUM_SHARDS).tolist()) == {shard}
        for row in table.to_pylist():
            held.setdefault(row["user_id"], []).append(row)
    assert held == expect_rows(*world)
    assert len(held) == 40


def test_how_many_rows_a_worker_holds_does_not_show(divided: Path, devices: Path, tmp_path: Path) -> None:
    (tmp_path / "one by one").mkdir()
    write_shards(divided, devices, NUM_SHARDS, Silent())
    write_shards(divided, tmp_path / "one by one", NUM_SHARDS, Silent(), rows_per_run=1)
    assert read_files(tmp_path / "one by one") == read_files(devices)
    assert len(read_files(devices)) == NUM_SHARDS


def test_a_log_without_events_gives_a_shard_without_rows(devices: Path, tmp_path: Path) -> None:
    write_parts(divided_schema().empty_table(), tmp_path / "divided")
    write_shards(tmp_path / "divided", devices, 1, Silent())
    assert pq.read_table(devices / "shard-0000.parquet").equals(shard_schema().empty_table())


def test_shards_that_are_there_stay_and_the_missing_are_written(divided: Path, devices: Path) -> None:
    write_shards(divided, devices, NUM_SHARDS, Silent())
    whole = read_files(devices)
    (devices / "shard-0001.parquet").unlink()
    (devices / "shard-0003.parquet").write_bytes(b"as it is")
    write_shards(divided, devices, NUM_SHARDS, Silent(), rows_per_run=1)
    assert read_files(devices) == {**whole, "shard-0003.parquet": b"as it is"}


def test_the_listener_hears_of_all_shards(divided: Path, devices: Path) -> None:
    heard = Counted()
    write_shards(divided, devices, NUM_SHARDS, heard)
    assert heard.totals == [NUM_SHARDS]
    assert heard.done == sorted(heard.done)
    assert heard.done[-1] == NUM_SHARDS


@pytest.mark.parametrize("rows_per_run", [1, 2**20])
def test_a_job_killed_in_mid_write_is_completed_by_the_next(
    divided: Path, devices: Path, tmp_path: Path, rows_per_run: int
) -> None:
    code = KILL.format(num_shards=NUM_SHARDS, rows=rows_per_run)
    killed = subprocess.run([sys.executable, "-c", code, divided, devices], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = read_files(devices)
    whole = {name for name in left if name.endswith(".parquet")}
    assert 0 < len(whole) < NUM_SHARDS
    (tmp_path / "expected").mkdir()
    write_shards(divided, tmp_path / "expected", NUM_SHARDS, Silent())
    expected = read_files(tmp_path / "expected")
    assert {name: left[name] for name in whole} == {name: expected[name] for name in whole}
    write_shards(divided, devices, NUM_SHARDS, Silent(), rows_per_run=rows_per_run)
    assert read_files(devices) == expected


def test_a_full_disk_is_explained_and_the_next_run_goes_on(divided: Path, devices: Path) -> None:
    with files_of_at_most(4_000), pytest.raises(WorkspaceError, match=r"bytes to .*shard-0000.*Free that much space"):
        write_shards(divided, devices, NUM_SHARDS, Silent())
    assert read_files(devices) == {}
    write_shards(divided, devices, NUM_SHARDS, Silent())
    assert len(read_files(devices)) == NUM_SHARDS


def test_a_broken_file_is_named(divided: Path, devices: Path) -> None:
    path = divided / "part-0000.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\0" * 2_000 + content[2_100:])
    with pytest.raises(DatasetError, match=r"whole Parquet file of the divided log at .*part-0000\.parquet"):
        write_shards(divided, devices, NUM_SHARDS, Silent())
    path.write_bytes(content[:100])
    with pytest.raises(DatasetError, match=r"part-0000\.parquet, got: .* Remove .* and run the same command again"):
        write_shards(divided, devices, NUM_SHARDS, Silent())


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """The system refuses to write longer files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

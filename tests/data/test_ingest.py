import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.dataset import raw_event_schema
from data.forgetting import forget
from data.split import global_time, leave_one_out
from data.truth import Truth
from pipelines.ingestion import ingest, ingest_divided
from recsys.config.data import DataSettings, SplitSettings, WorldSettings
from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError, WorkspaceError
from recsys.storage.workspace import Workspace
from tests.data.conftest import REPOSITORY, TINY_WORLD

EXAMPLE = REPOSITORY / "data" / "example_events.csv"


class _Listener:
    """Keeps what it hears; breaks off at a stage on request."""

    def __init__(self, break_at=None):
        self.stages, self.notes, self._break_at = [], [], break_at

    def stage(self, name, total=None):
        self.stages.append(name)
        if self._break_at and self._break_at in name:
            raise KeyboardInterrupt

    def advance(self, done, **figures):
        """Does not count."""

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


def _read_events(workspace):
    return pq.read_table(workspace.events)


def _read_devices(workspace):
    return pa.concat_tables([pq.read_table(path) for path in sorted(workspace.devices.glob("*.parquet"))])


def _files(root: Path):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_world_fills_the_workspace(workspace, tiny_settings, tiny_world):
    card = ingest(workspace, "synthetic", tiny_settings, 1)
    assert workspace.read_card() == card
    assert (card.name, card.num_users, card.num_items, card.seed) == ("synthetic", 40, 68, 1)
    assert card.num_events == tiny_world.events.num_rows == card.num_consented + card.num_private + card.num_heldout
    assert card.num_private > 0
    assert card.num_heldout > 0
    assert _read_events(workspace).schema == raw_event_schema()
    for path, contract in ((workspace.items, "item"), (workspace.rooms, "room"), (workspace.users, "user")):
        assert pq.read_table(path).schema == arrow_schema(contract)
    assert Truth.load(workspace.truth).item_ids == tiny_world.truth.item_ids
    assert not (workspace.root / "ingest.partial").exists()


def test_the_cloud_holds_the_consented_part_and_the_devices_hold_everything(workspace, tiny_settings, tiny_world):
    card = ingest(workspace, "synthetic", tiny_settings, 1)
    consented, devices = _read_events(workspace), _read_devices(workspace)
    assert consented.num_rows == card.num_consented
    assert Counter(devices.column("part").to_pylist()) == {
        "consented": card.num_consented,
        "private": card.num_private,
        "heldout": card.num_heldout,
    }
    by_part = devices.to_pandas().groupby("part")["event_id"].agg(set)
    assert by_part["consented"] == set(consented.column("event_id").to_pylist())
    assert set().union(*by_part) == set(tiny_world.events.column("event_id").to_pylist())


def test_shards_part_the_people_and_are_sorted(workspace):
    settings = DataSettings(world=TINY_WORLD.model_copy(update={"num_users": 600, "sessions_per_user": 3}))
    ingest(workspace, "synthetic", settings, 1)
    shards = [pq.read_table(path).to_pandas() for path in sorted(workspace.devices.glob("shard-*.parquet"))]
    assert sorted(path.name for path in workspace.devices.iterdir()) == ["shard-0000.parquet", "shard-0001.parquet"]
    people = [set(shard["user_id"]) for shard in shards]
    assert not people[0] & people[1]
    assert min(map(len, people)) > 200
    for shard in shards:
        assert shard.equals(shard.sort_values(["user_id", "timestamp_ms", "event_id"], ignore_index=True))


def test_equal_requests_fill_workspaces_with_equal_bytes(tmp_path, tiny_settings):
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        ingest(Workspace(root), "synthetic", tiny_settings, 1)
    assert _files(roots[0]) == _files(roots[1])


def test_the_same_request_again_returns_at_once(workspace, tiny_settings):
    first = ingest(workspace, "synthetic", tiny_settings, 1)
    before = _files(workspace.root)
    listener = _Listener()
    assert ingest(workspace, "synthetic", tiny_settings, 1, progress=listener) == first
    assert listener.stages == []
    assert "nothing to do" in listener.notes[0]
    assert _files(workspace.root) == before


@pytest.mark.parametrize(
    "request_of",
    [
        lambda settings: ("synthetic", settings, 2, None),
        lambda settings: ("synthetic", DataSettings(world=TINY_WORLD, split=SplitSettings(min_positives=5)), 1, None),
        lambda settings: ("synthetic", DataSettings(world=WorldSettings(num_users=3)), 1, None),
        lambda settings: ("events", settings, 1, EXAMPLE),
    ],
)
def test_another_dataset_in_the_workspace_is_not_overwritten(workspace, tiny_settings, request_of):
    ingest(workspace, "synthetic", tiny_settings, 1)
    before = _files(workspace.root)
    name, settings, seed, source = request_of(tiny_settings)
    with pytest.raises(WorkspaceError, match=r"got synthetic with seed 1 from another request\. Choose another"):
        ingest(workspace, name, settings, seed, source)
    assert _files(workspace.root) == before


def test_ones_own_data_that_changed_is_another_dataset(tmp_path, workspace, tiny_settings):
    source = tmp_path / "events.csv"
    source.write_bytes(EXAMPLE.read_bytes())
    ingest(workspace, "events", tiny_settings, 1, source)
    source.write_bytes(EXAMPLE.read_bytes() + b"e999,anna,clip-retro,click,feed,,1737800000000,0,\n")
    with pytest.raises(WorkspaceError, match=r"Expected .* to be empty or to hold events with seed 1"):
        ingest(workspace, "events", tiny_settings, 1, source)


def test_folders_of_another_origin_are_not_overwritten(workspace, tiny_settings):
    workspace.events.mkdir(parents=True)
    (workspace.events / "precious.parquet").write_bytes(b"mine")
    with pytest.raises(WorkspaceError, match="holds events of another origin; they would be overwritten"):
        ingest(workspace, "synthetic", tiny_settings, 1)
    assert (workspace.events / "precious.parquet").read_bytes() == b"mine"


@pytest.mark.parametrize("stage", ["reading synthetic", "dividing each history", "writing the devices' shards"])
def test_a_run_that_was_cut_off_is_begun_anew(tmp_path, tiny_settings, stage):
    whole, broken = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    ingest(whole, "synthetic", tiny_settings, 1)
    with pytest.raises(KeyboardInterrupt):
        ingest(broken, "synthetic", tiny_settings, 1, progress=_Listener(break_at=stage))
    with pytest.raises(WorkspaceError, match="Run `tandem ingest"):
        broken.read_card()
    ingest(broken, "synthetic", tiny_settings, 1)
    assert _files(broken.root) == _files(whole.root)


def test_a_run_cut_off_while_it_writes_shards_goes_on_with_them(tmp_path, tiny_settings):
    whole, broken = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    ingest(whole, "synthetic", tiny_settings, 1)
    with pytest.raises(KeyboardInterrupt):
        ingest(broken, "synthetic", tiny_settings, 1, progress=_Listener(break_at="writing the devices' shards"))
    listener = _Listener()
    ingest(broken, "synthetic", tiny_settings, 1, progress=listener)
    assert listener.stages == ["writing the devices' shards"]
    assert _files(broken.root) == _files(whole.root)


def test_what_another_request_left_half_done_is_not_taken_up(tmp_path, tiny_settings):
    whole, broken = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    ingest(whole, "synthetic", tiny_settings, 2)
    with pytest.raises(KeyboardInterrupt):
        ingest(broken, "synthetic", tiny_settings, 1, progress=_Listener(break_at="writing the devices' shards"))
    ingest(broken, "synthetic", tiny_settings, 2)
    assert _files(broken.root) == _files(whole.root)


def test_a_person_forgotten_meanwhile_is_in_nothing_that_was_left_half_done(workspace, tiny_settings, tiny_world):
    with pytest.raises(KeyboardInterrupt):
        ingest(workspace, "synthetic", tiny_settings, 1, progress=_Listener(break_at="writing the devices' shards"))
    assert _files(workspace.root)
    forget(workspace, tiny_world.users.column("user_id")[0].as_py())
    assert _files(workspace.root) == {}


def test_a_move_that_was_cut_off_is_begun_anew(tmp_path, tiny_settings):
    whole, broken = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    ingest(whole, "synthetic", tiny_settings, 1)
    # What a kill between two renames leaves: the mark, an old piece, no card.
    broken.events.mkdir(parents=True)
    (broken.events / "part-0009.parquet").write_bytes(b"old")
    (broken.root / "ingest.json").write_text("{}")
    (broken.root / "ingest.partial" / "devices").mkdir(parents=True)
    (broken.root / "ingest.divided" / "devices").mkdir(parents=True)
    ingest(broken, "synthetic", tiny_settings, 1)
    assert _files(broken.root) == _files(whole.root)


def test_a_full_disk_is_explained_and_leaves_nothing_half_written(workspace, tiny_settings):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DatasetError, match=r"Expected to write synthetic into .*, got: .*\. Make room there"):
            ingest(workspace, "synthetic", tiny_settings, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _files(workspace.root) == {}
    assert ingest(workspace, "synthetic", tiny_settings, 1).num_users == 40


def test_a_disk_that_is_full_once_the_shards_are_written_leaves_no_dataset_and_the_next_run_goes_on(
    tmp_path, workspace, tiny_settings
):
    class FullDisk(_Listener):
        def stage(self, name, total=None):
            super().stage(name, total)
            if "shards" in name:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(WorkspaceError, match=r"bytes to .*shard-0000\.parquet, got: .* Free that much space"):
            ingest(workspace, "synthetic", tiny_settings, 1, progress=FullDisk())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(WorkspaceError, match="Run `tandem ingest"):
        workspace.read_card()
    assert not workspace.devices.exists()
    listener = _Listener()
    ingest(workspace, "synthetic", tiny_settings, 1, progress=listener)
    assert listener.stages == ["writing the devices' shards"]
    ingest(Workspace(tmp_path / "whole"), "synthetic", tiny_settings, 1)
    assert _files(workspace.root) == _files(tmp_path / "whole")


def test_a_file_in_the_place_of_the_workspace_is_explained(tmp_path, tiny_settings):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="got: Not a directory"):
        ingest(Workspace(tmp_path / "file"), "synthetic", tiny_settings, 1)


def test_malformed_rows_go_to_the_consented_log_and_to_no_device(tmp_path, workspace, tiny_settings):
    bad = [
        "x1,,clip-chess,click,feed,,1737900000000,0,",
        "x2,anna,clip-chess,click,feed,,yesterday,0,",
        "x3,anna,clip-chess,shout,feed,,1737900000000,0,",
        "e001,anna,clip-chess,impression,feed,,1736789995000,0,",
    ]
    source = tmp_path / "events.csv"
    source.write_bytes(EXAMPLE.read_bytes() + ("\n".join(bad) + "\n").encode())
    listener = _Listener()
    card = ingest(workspace, "events", tiny_settings, 1, source, listener)
    assert card.num_events == 53 + 4
    logged = Counter(_read_events(workspace).column("event_id").to_pylist())
    assert [logged[event_id] for event_id in ("x1", "x2", "x3", "e001")] == [1, 1, 1, 2]
    held = Counter(_read_devices(workspace).column("event_id").to_pylist())
    assert sum(held.values()) == len(held) == 53
    assert any("'yesterday'" in note for note in listener.notes)


def test_real_data_divides_into_the_published_shares(workspace, real_data, monkeypatch):
    monkeypatch.setenv("TANDEM_DATA", str(real_data))
    card = ingest(workspace, "movielens-100k", DataSettings(), 0)
    # Every user of this set has at least 20 ratings, all of them positive, so that each share is floored per user.
    devices = _read_devices(workspace).to_pandas()
    counts = devices.groupby("user_id").size()
    assert card.num_consented == sum(7 * count // 10 for count in counts)
    assert card.num_heldout == sum(count - 9 * count // 10 for count in counts)
    assert len(list(workspace.devices.iterdir())) == 2


def test_a_workspace_that_is_filled_waits_for_neither_tensorflow_nor_beam():
    code = "import sys, pipelines.ingestion; print(sorted({'tensorflow', 'apache_beam', 'faiss'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_a_division_of_its_own_leaves_the_cloud_all_but_the_test(workspace, tiny_world):
    split = leave_one_out(tiny_world.events)
    card = ingest_divided(workspace, tiny_world, split.consent())
    assert (card.split, card.split_fingerprint) == ("leave one out by time", split.fingerprint)
    assert card.num_private == 0
    held_out = set(tiny_world.events.filter(pa.array(split.mask("test"))).column("event_id").to_pylist())
    assert card.num_heldout == len(held_out)
    assert set(_read_events(workspace).column("event_id").to_pylist()) & held_out == set()
    before = _files(workspace.root)
    assert ingest_divided(workspace, tiny_world, split.consent()) == card
    assert _files(workspace.root) == before


def test_another_division_of_the_same_data_is_refused(workspace, tiny_world):
    ingest_divided(workspace, tiny_world, leave_one_out(tiny_world.events).consent())
    with pytest.raises(WorkspaceError, match=r"hold synthetic under global time 0\.8/0\.1"):
        ingest_divided(workspace, tiny_world, global_time(tiny_world.events).consent())

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.dataset import raw_event_schema
from data.generations import generations_of
from data.readers.own import read_own
from data.split import leave_one_out
from pipelines.ingestion import append, ingest, ingest_divided
from recsys.config.data import DataSettings
from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError, WorkspaceError
from recsys.progress import Silent
from recsys.storage.workspace import APPEND_FOLDER, Workspace


class Heard(Silent):
    def __init__(self, break_at=None):
        self.notes, self._break_at = [], break_at

    def stage(self, name, total=None):
        if name == self._break_at:
            raise KeyboardInterrupt

    def note(self, text):
        self.notes.append(text)


def event(number, user="ada", item="a", **others):
    plain = {"event_id": f"e{number:03d}", "user_id": user, "item_id": item, "action": "click", "surface": "feed"}
    return {**plain, "timestamp_ms": number * 1000, **others}


def write(folder: Path, events, items=None) -> Path:
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(events, schema=raw_event_schema()), folder / "events.parquet")
    if items is not None:
        rows = [{"item_id": i, "surface": "feed", "title": i, "categories": c} for i, c in items.items()]
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema("item")), folder / "items.parquet")
    return folder


@pytest.fixture
def workspace(tmp_path):
    """Ada has ten positives, of which the cloud knows seven and the device two more; Bob has three, all consented."""
    first = write(
        tmp_path / "monday",
        [*(event(n) for n in range(10)), *(event(n, "bob", "b") for n in range(20, 23))],
        {"b": ["x"], "a": ["x"]},
    )
    place = Workspace(tmp_path / "workspace")
    ingest(place, "events", DataSettings(), 0, first)
    return place


def devices(workspace):
    table = pa.concat_tables([pq.read_table(path) for path in sorted(workspace.devices.glob("*.parquet"))])
    return {row["event_id"]: row["part"] for row in table.to_pylist()}


def consented(workspace):
    return sorted(pq.read_table(workspace.events).column("event_id").to_pylist())


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_histories_grow_and_what_was_private_becomes_the_clouds_as_time_goes_on(workspace, tmp_path):
    before = devices(workspace)
    assert [before[f"e{n:03d}"] for n in range(10)] == ["consented"] * 7 + ["private"] * 2 + ["heldout"]
    card = append(workspace, write(tmp_path / "tuesday", [event(n) for n in range(100, 110)]))
    after = devices(workspace)
    ids = [*range(10), *range(100, 110)]
    assert [after[f"e{n:03d}"] for n in ids] == ["consented"] * 14 + ["private"] * 4 + ["heldout"] * 2
    assert consented(workspace) == [f"e{n:03d}" for n in (*range(10), 20, 21, 22, *range(100, 104))]
    assert (card.num_events, card.num_consented, card.num_private, card.num_heldout) == (23, 17, 4, 2)
    assert workspace.read_card() == card


def test_what_the_cloud_knew_of_a_person_it_goes_on_knowing(workspace, tmp_path):
    """Bob's three events were consented; with eleven, seven are, in the order of time: never fewer than before."""
    append(workspace, write(tmp_path / "tuesday", [event(n, "bob", "b") for n in range(100, 108)]))
    after = devices(workspace)
    parts = [after[f"e{n:03d}"] for n in (20, 21, 22, *range(100, 108))]
    assert parts == ["consented"] * 7 + ["private"] * 2 + ["heldout"] * 2


def test_late_events_never_take_an_event_from_the_cloud(workspace, tmp_path):
    late = [event(n, timestamp_ms=0, event_id=f"a{n:03d}") for n in range(3)]
    append(workspace, write(tmp_path / "late", late))
    after = devices(workspace)
    assert [after[f"e{n:03d}"] for n in range(7)] == ["consented"] * 7
    assert [after[f"a{n:03d}"] for n in range(3)] == ["consented"] * 3


def test_new_items_stand_behind_the_known_ones_which_stay_as_they_are(workspace, tmp_path):
    day = write(tmp_path / "tuesday", [event(100, "cyd", "aa")], {"aa": ["w"], "b": ["other"]})
    append(workspace, day)
    items = pq.read_table(workspace.items)
    assert items.column("item_id").to_pylist()[-1] == "aa"
    assert generations_of(items) == [2, 1]
    categories = dict(zip(*(items.column(name).to_pylist() for name in ("item_id", "categories")), strict=True))
    assert categories == {"b": ["x"], "a": ["x"], "aa": ["w"]}
    assert pq.read_table(workspace.users).column("user_id").to_pylist() == ["ada", "bob", "cyd"]
    append(workspace, write(tmp_path / "wednesday", [event(200, "cyd", "c")], {"c": []}))
    assert generations_of(pq.read_table(workspace.items)) == [2, 1, 1]


def test_a_room_is_what_was_said_of_it_last(workspace, tmp_path):
    room = {"room_id": "r", "item_id": "b", "start_ms": 0, "end_ms": None}
    for number, end_ms in enumerate((None, 7)):
        folder = write(tmp_path / f"day{number}", [event(100 + number)])
        rows = [{**room, "end_ms": end_ms}]
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema("room")), folder / "rooms.parquet")
        append(workspace, folder)
    assert pq.read_table(workspace.rooms).to_pylist() == [{**room, "end_ms": 7}]


def test_the_same_log_again_changes_nothing(workspace, tmp_path):
    unlawful = event(101, action="dance")
    day = write(tmp_path / "tuesday", [event(100), unlawful])
    append(workspace, day)
    before, heard = files(workspace.root), Heard()
    append(workspace, day, heard)
    assert files(workspace.root) == before
    assert heard.notes[-1] == f"{workspace.root} already holds these events: nothing to do."


def test_a_log_of_known_events_changes_nothing(workspace, tmp_path):
    before = files(workspace.root)
    append(workspace, write(tmp_path / "again", [event(n) for n in range(4, 8)]))
    assert {**files(workspace.root), ".train.lock": b""} == {**before, ".train.lock": b""}


def test_known_events_are_left_out_and_unlawful_ones_go_where_prepare_sets_them_aside(workspace, tmp_path):
    rows = [event(3), event(100, action="dance"), event(101)]
    card = append(workspace, write(tmp_path / "tuesday", rows))
    assert card.num_events == 15
    assert consented(workspace).count("e003") == 1
    assert "e100" in consented(workspace)
    assert "e100" not in devices(workspace)


def test_an_append_cut_off_before_it_was_written_has_changed_nothing(workspace, tmp_path):
    day = write(tmp_path / "tuesday", [event(n) for n in range(100, 110)])
    whole = Workspace(tmp_path / "whole")
    shutil.copytree(workspace.root, whole.root)
    append(whole, day)
    before = workspace.read_card()
    with pytest.raises(KeyboardInterrupt):
        append(workspace, day, Heard("writing the devices' shards"))
    assert workspace.read_card() == before
    append(workspace, day)
    assert files(workspace.root) == files(whole.root)


@pytest.mark.parametrize(
    "moved", [[], ["events"], ["events", "devices"], ["events", "devices", "catalogue/items.parquet"]]
)
def test_an_append_cut_off_while_it_is_moved_into_place_is_refused_until_it_is_finished(
    workspace, tmp_path, monkeypatch, moved
):
    day = write(tmp_path / "tuesday", [event(n, item="new") for n in range(100, 110)], {"new": []})
    whole = Workspace(tmp_path / "whole")
    shutil.copytree(workspace.root, whole.root)
    append(whole, day)

    def cut_off(place):
        if (place.root / APPEND_FOLDER).exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("data.append._move_into_place", cut_off)
        with pytest.raises(KeyboardInterrupt):
            append(workspace, day)
    ready = workspace.root / APPEND_FOLDER
    for piece in moved:
        if piece == "events":
            for part in (ready / piece).iterdir():
                part.rename(workspace.events / part.name)
        elif piece == "devices":
            shutil.rmtree(workspace.devices)
            (ready / piece).rename(workspace.devices)
        else:
            (ready / piece).replace(workspace.root / piece)
    with pytest.raises(WorkspaceError, match="Run the same `tandem ingest --append` again"):
        workspace.read_card()
    append(workspace, day)
    assert files(workspace.root) == files(whole.root)


def test_the_true_relevance_of_a_world_is_not_that_of_what_came_after(tmp_path, tiny_settings):
    place = Workspace(tmp_path / "world")
    ingest(place, "synthetic", tiny_settings, 1)
    assert place.truth.exists()
    append(place, write(tmp_path / "tuesday", [event(9_999_999)]))
    assert not place.truth.exists()


def test_nothing_is_added_to_nothing(tmp_path):
    with pytest.raises(WorkspaceError, match="Run `tandem ingest"):
        append(Workspace(tmp_path / "empty"), tmp_path)


def test_a_workspace_of_another_protocol_is_refused(tmp_path):
    dataset = read_own(write(tmp_path / "monday", [event(n) for n in range(10)]))
    place = Workspace(tmp_path / "workspace")
    ingest_divided(place, dataset, leave_one_out(dataset.events).consent())
    with pytest.raises(WorkspaceError, match="to be divided by protocol E"):
        append(place, tmp_path / "monday")


def test_events_that_are_not_there_are_named(workspace, tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere"):
        append(workspace, tmp_path / "nowhere")


def test_a_broken_list_of_what_was_appended_is_named(workspace, tmp_path):
    (workspace.root / "appended.json").write_text("{")
    with pytest.raises(DatasetError, match=r"Expected a list of digests in .*appended\.json"):
        append(workspace, write(tmp_path / "tuesday", [event(100)]))


def test_digests_are_kept_in_the_order_of_the_days(workspace, tmp_path):
    append(workspace, write(tmp_path / "tuesday", [event(100)]))
    append(workspace, write(tmp_path / "wednesday", [event(200)]))
    assert len(set(json.loads((workspace.root / "appended.json").read_text()))) == 2

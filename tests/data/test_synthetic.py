from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data.dataset import raw_event_schema
from data.lawfulness import find_lawful
from data.registry import read_dataset
from data.split import split_edge_cloud
from data.synthetic import generate
from recsys.config.data import DataSettings, SplitSettings, WorldSettings
from recsys.contracts.events import POSITIVE_ACTIONS
from recsys.contracts.schema import arrow_schema
from tests.data.conftest import TINY_WORLD

POSITIVES = pa.array(sorted(POSITIVE_ACTIONS))


def _positives(world):
    return world.events.filter(pc.is_in(world.events.column("action"), value_set=POSITIVES))


def test_equal_settings_and_seed_give_equal_bytes(tiny_world, tiny_settings):
    again = read_dataset("synthetic", None, tiny_settings, seed=1)
    for name in ("events", "items", "rooms", "users"):
        assert getattr(again, name).equals(getattr(tiny_world, name)), name
    for field in fields(again.truth):
        assert np.array_equal(getattr(again.truth, field.name), getattr(tiny_world.truth, field.name)), field.name


def test_another_seed_gives_another_world(tiny_world, tiny_settings):
    other = read_dataset("synthetic", None, tiny_settings, seed=2)
    assert not other.events.equals(tiny_world.events)
    assert other.items.column("item_id").equals(tiny_world.items.column("item_id"))


def test_tables_keep_their_contracts(tiny_world):
    assert tiny_world.events.schema == raw_event_schema()
    assert find_lawful(tiny_world.events).all()
    for name in ("items", "rooms", "users"):
        assert getattr(tiny_world, name).schema == arrow_schema(name[:-1])
        assert getattr(tiny_world, name).column(0).null_count == 0
    assert pc.count_distinct(tiny_world.events.column("event_id")).as_py() == tiny_world.events.num_rows


def test_the_size_is_what_was_asked_for(tiny_world):
    assert tiny_world.users.num_rows == 40
    assert tiny_world.items.num_rows == 60 + 8
    assert tiny_world.items.column("surface").to_pylist() == ["feed"] * 60 + ["live"] * 8


def test_events_name_what_exists(tiny_world):
    for column, table in (("item_id", "items"), ("user_id", "users")):
        known = getattr(tiny_world, table).column(column).combine_chunks()
        assert pc.all(pc.is_in(tiny_world.events.column(column), value_set=known)).as_py()


def test_the_default_world_is_as_large_as_promised(default_world):
    assert 100_000 <= default_world.events.num_rows <= 200_000
    per_user = _positives(default_world).group_by("user_id").aggregate([("event_id", "count")])
    counts = per_user.column("event_id_count").to_numpy()
    assert len(counts) == 1_000
    assert counts.mean() >= 25
    assert (counts >= SplitSettings().min_positives).mean() > 0.98


def test_every_live_event_lies_in_its_open_room(default_world):
    live = default_world.events.filter(pc.equal(default_world.events.column("surface"), "live")).to_pandas()
    rooms = default_world.rooms.to_pandas().set_index("room_id")
    assert len(live) > 10_000
    room = rooms.loc[live["room_id"]]
    assert (room["item_id"].to_numpy() == live["item_id"].to_numpy()).all()
    assert (room["start_ms"].to_numpy() <= live["timestamp_ms"].to_numpy()).all()
    assert (live["timestamp_ms"].to_numpy() < room["end_ms"].fillna(np.inf).to_numpy()).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_rooms_of_a_streamer_do_not_overlap_and_someone_is_live_at_the_end(seed):
    rooms = generate(TINY_WORLD, seed).rooms.to_pandas().sort_values(["item_id", "start_ms"])
    ends = rooms["end_ms"].fillna(np.inf)
    assert (ends > rooms["start_ms"]).all()
    same = rooms["item_id"].to_numpy()[1:] == rooms["item_id"].to_numpy()[:-1]
    assert (ends.to_numpy()[:-1][same] <= rooms["start_ms"].to_numpy()[1:][same]).all()
    assert rooms["end_ms"].isna().any()


def test_positives_of_a_person_on_the_feed_do_not_repeat(default_world):
    positives = _positives(default_world)
    feed = positives.filter(pc.equal(positives.column("surface"), "feed")).to_pandas()
    assert not feed.duplicated(["user_id", "item_id"]).any()


def test_first_slots_are_clicked_more_than_last_ones_though_no_better(default_world):
    events = default_world.events.to_pandas()
    events = events[events["surface"] == "feed"]
    shown = events[events["action"] == "impression"].groupby("position").size()
    clicked = events[~events["action"].isin(["impression", "dislike"])].groupby("position").size()
    rate = (clicked / shown).to_numpy()
    # Slot 11 is examined with 12 ** -0.6 = 0.225 of the probability of slot 0; their items are hardly better.
    assert rate[-1] < 0.4 * rate[0]
    without_bias = generate(WorldSettings(num_users=200, position_bias=0.0), seed=1).events.to_pandas()
    responses = without_bias[~without_bias["action"].isin(["impression", "dislike"])]
    by_position = responses[responses["surface"] == "feed"].groupby("position").size().to_numpy()
    assert by_position[-1] > 0.6 * by_position[0]


def test_every_action_of_both_surfaces_occurs_and_only_live_gives_gifts(default_world):
    kinds = default_world.events.to_pandas().groupby(["surface", "action"]).size()
    assert set(kinds["feed"].index) == {
        *("impression", "click", "long_view", "like", "follow", "comment", "share", "dislike"),
    }
    assert set(kinds["live"].index) == set(kinds["feed"].index) | {"gift"}
    assert kinds["feed"]["dislike"] < 0.01 * kinds["feed"]["impression"]


def test_a_world_whose_feed_runs_out_shows_shorter_slates():
    small = WorldSettings(
        num_users=5, num_items=10, num_streamers=2, num_categories=2, sessions_per_user=30, live_share=0.0
    )
    events = generate(small, seed=3).events.to_pandas()
    positives = events[~events["action"].isin(["impression", "dislike"])]
    assert positives.groupby("user_id").size().max() <= 10


def test_a_crowded_day_keeps_sessions_in_order():
    busy = WorldSettings(num_users=20, num_items=50, num_streamers=5, num_days=1, sessions_per_user=60)
    starts = generate(busy, seed=1).truth.session_starts_ms
    assert (np.diff(starts, axis=1) > 0).all()


def _ndcg_at_10(scores, target, blocked):
    scores = np.where(blocked, -np.inf, scores)
    rank = int((scores > scores[target]).sum())
    return 1 / np.log2(rank + 2) if rank < 10 else 0.0


def _rank_heldout(world, score):
    """Mean NDCG@10 of held-out feed positives; `score(user_id, time_ms, rows of the earlier positives)`."""
    positives = _positives(world)
    parts = split_edge_cloud(positives, SplitSettings()).parts
    frame = positives.append_column("part", parts).to_pandas().sort_values(["user_id", "timestamp_ms", "event_id"])
    row_of = {item_id: row for row, item_id in enumerate(world.truth.item_ids)}
    frame["row"] = frame["item_id"].map(row_of)
    not_feed = np.array([item_id.startswith("s") for item_id in world.truth.item_ids])
    gains = []
    for user_id, history in frame.groupby("user_id"):
        rows, times = history["row"].to_numpy(), history["timestamp_ms"].to_numpy()
        for k in np.flatnonzero(((history["part"] == "heldout") & (history["surface"] == "feed")).to_numpy()):
            blocked = not_feed.copy()
            blocked[rows[:k]] = True
            gains.append(_ndcg_at_10(score(user_id, int(times[k]), rows[:k]), rows[k], blocked))
    return float(np.mean(gains))


def test_the_oracle_is_far_above_popularity_and_recent_behaviour_above_the_long_term_mean(default_world):
    truth = default_world.truth
    consented = _positives(default_world).filter(
        pa.array(split_edge_cloud(_positives(default_world), SplitSettings()).mask("consented"))
    )
    row_of = {item_id: row for row, item_id in enumerate(truth.item_ids)}
    popularity = np.bincount([row_of[item_id] for item_id in consented.column("item_id").to_pylist()], minlength=1_350)

    def recency_profile(user_id, time_ms, rows):
        weights = 0.8 ** np.arange(len(rows))[::-1]
        return truth.factors @ (truth.factors[rows].T @ weights)

    oracle = _rank_heldout(default_world, lambda user_id, time_ms, rows: truth.relevance(user_id, time_ms))
    popular = _rank_heldout(default_world, lambda user_id, time_ms, rows: popularity)
    mean = _rank_heldout(default_world, lambda user_id, time_ms, rows: truth.factors @ truth.factors[rows].mean(axis=0))
    recent = _rank_heldout(default_world, recency_profile)
    assert oracle > 10 * popular
    assert oracle > 1.3 * recent
    assert recent > 1.15 * mean
    assert mean > 5 * popular


def test_a_seeded_world_of_another_size_reads_through_the_registry():
    settings = DataSettings(world=WorldSettings(num_users=3, num_items=12, num_streamers=2, num_days=2))
    world = read_dataset("synthetic", None, settings, seed=9)
    assert world.users.column("user_id").to_pylist() == ["u1", "u2", "u3"]

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from federated.device.gate import Order
from federated.device.personal import PersonalTower
from federated.simulation.arms import ARMS
from federated.simulation.personal import Personaliser
from federated.simulation.population import Population
from federated.simulation.replay import Replayer, find_tail
from federated.simulation.slates import find_slates
from federated.simulation.user_log import CONSENTED, HELDOUT, UserLog
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings
from recsys.contracts.bundle import DEVICE_TRAINING_FILE
from recsys.contracts.events import ACTION_CODES, SURFACE_CODES, Surface
from recsys.metrics.ranking import MISSED, full_rank
from recsys.storage.registry import BundleRegistry
from tests.bundles import bundled_workspace  # noqa: F401

IMPRESSION, CLICK, DISLIKE = (ACTION_CODES[name] for name in ("impression", "click", "dislike"))
MINUTE_MS = 60_000


def build_log(rows: list[tuple[int, int, int, int]]) -> UserLog:
    """Rows of (item index, action, minute, part), all on the feed."""
    items, actions, minutes, parts = zip(*rows, strict=True)
    return UserLog(
        "u",
        "mid",
        np.asarray(items, np.int32),
        np.asarray(actions, np.int8),
        np.zeros(len(rows), np.int8),
        np.asarray(minutes, np.int64) * MINUTE_MS,
        np.asarray(parts, np.int8),
    )


@pytest.fixture(scope="module")
def population_and_replayer(bundled_workspace):  # noqa: F811
    bundle = BundleRegistry(bundled_workspace).current()
    cloud = CloudModel.load(bundle)
    settings = FederatedSettings()
    tower = PersonalTower(bundle.read_bytes(DEVICE_TRAINING_FILE), cloud.vectors, settings.device, settings.personal)
    replayer = Replayer(cloud, tower, Personaliser(cloud, tower, settings, 0).personalise, None, 100)
    return Population(bundled_workspace, cloud.catalogue), replayer


def test_every_held_out_positive_is_one_request_in_every_arm(population_and_replayer):
    population, replayer = population_and_replayer
    for log in population.logs(population.user_ids[:5]):
        num_events = int((log.positive & (log.parts == HELDOUT)).sum())
        replay = replayer.replay(log)
        assert {arm: len(ranks) for arm, ranks in replay.ranks.items()} == dict.fromkeys(
            [*ARMS, "popularity"] if num_events else [], num_events
        )


class NearTheLast:
    """Shows what is numbered like the last choice; without one, everything alike."""

    def __init__(self, num_items):
        self.num_items = num_items

    def score(self, history):
        numbers = np.arange(self.num_items + 1, dtype=np.float32)
        return {"near": -np.abs(numbers - history[-1]) if len(history) else 0 * numbers}


def test_simple_models_rank_all_that_could_be_shown_by_what_the_cloud_knows_and_by_all_there_is(
    population_and_replayer,
):
    population, replayer = population_and_replayer
    catalogue = replayer.cloud.catalogue
    beside = replace(replayer, rivals=NearTheLast(catalogue.num_items))
    for log in population.logs(population.user_ids[:5]):
        rows, ranks = np.flatnonzero(log.positive), beside.replay(log).ranks
        held = [place for place in range(len(rows)) if log.parts[rows[place]] == HELDOUT]
        feed = [number for number, place in enumerate(held) if log.surfaces[rows[place]] == SURFACE_CODES["feed"]]
        known = log.item_indexes[rows[log.parts[rows] == CONSENTED]]
        for number in feed:
            row, earlier = rows[held[number]], log.item_indexes[rows[: held[number]]]
            allowed = catalogue.on_surface(Surface.FEED).copy()
            allowed[earlier[catalogue.surfaces[earlier] == SURFACE_CODES["feed"]]] = False
            for arm, history in (("cloud_near", known), ("uploaded_near", earlier)):
                scores = beside.rivals.score(history)["near"]
                assert ranks[arm][number] == full_rank(scores, int(log.item_indexes[row]), allowed)
        assert {name: of_arm for name, of_arm in ranks.items() if "near" not in name} == replayer.replay(log).ranks


def test_the_share_of_the_long_tail_is_of_the_choices_before_the_held_out_period(population_and_replayer):
    population, replayer = population_and_replayer
    tail = find_tail(replayer.cloud.catalogue.positives)
    for log in population.logs(population.user_ids[:5]):
        items = log.item_indexes[log.positive & (log.parts != HELDOUT)]
        replay = replayer.replay(log)
        assert replay.tail_share == (tail[items].mean() if replay.surfaces else None)


def test_the_device_moves_items_but_neither_adds_nor_drops_any(population_and_replayer):
    population, replayer = population_and_replayer
    for log in population.logs(population.user_ids[:5]):
        ranks = replayer.replay(log).ranks
        for before, after in zip(ranks.get("cloud_only", []), ranks.get("cloud_device", []), strict=True):
            assert (before == MISSED) == (after == MISSED)


def test_what_comes_after_an_event_does_not_change_its_ranks(population_and_replayer):
    population, replayer = population_and_replayer
    log = next(log for log in population.logs(population.user_ids) if (log.positive & (log.parts == HELDOUT)).sum() > 1)
    last = int(np.flatnonzero(log.positive & (log.parts == HELDOUT))[-1])
    shorter = UserLog(
        log.user_id,
        log.tier,
        *(getattr(log, name)[:last] for name in ("item_indexes", "actions", "surfaces", "timestamps_ms", "parts")),
    )
    whole, cut = replayer.replay(log), replayer.replay(shorter)
    for arm, ranks in cut.ranks.items():
        assert ranks == whole.ranks[arm][: len(ranks)]


@pytest.mark.parametrize(
    ("order", "stale", "fresh"),
    [
        (Order.CLOUD, "cloud_only", "cloud_query"),
        (Order.GLOBAL, "cloud_device", "full_loop"),
        (Order.PERSONAL, "cloud_personal", "loop_personal"),
    ],
)
def test_the_gated_arms_show_the_order_that_the_gate_chose(population_and_replayer, order, stale, fresh):
    population, replayer = population_and_replayer
    fixed = replace(replayer, personalise=lambda log: replayer.personalise(log) and {False: order, True: order})
    for log in population.logs(population.user_ids[:5]):
        replay = fixed.replay(log)
        assert replay.ranks.get("cloud_gated") == replay.ranks.get(stale)
        assert replay.ranks.get("loop_gated") == replay.ranks.get(fresh)
        assert replay.orders == ({"cloud_gated": order, "loop_gated": order} if replay.surfaces else {})


def test_the_order_of_people_does_not_matter_to_their_own_towers(population_and_replayer):
    population, replayer = population_and_replayer
    logs = list(population.logs(population.user_ids[:6]))
    forth, back = [replayer.replay(log) for log in logs], [replayer.replay(log) for log in logs[::-1]][::-1]
    assert forth == back
    assert any(replay.ranks["cloud_personal"] != replay.ranks["cloud_device"] for replay in forth if replay.ranks)


def test_the_held_out_period_decides_nothing(population_and_replayer):
    population, replayer = population_and_replayer
    for log in population.logs(population.user_ids[:6]):
        kept = log.parts != HELDOUT
        shorter = UserLog(
            log.user_id,
            log.tier,
            *(getattr(log, name)[kept] for name in ("item_indexes", "actions", "surfaces", "timestamps_ms", "parts")),
        )
        whole = replayer.personalise(log)
        assert replayer.personalise(shorter) == whole


def test_slates_end_where_the_person_pauses_for_half_an_hour():
    log = build_log([(1, IMPRESSION, 0, 2), (2, IMPRESSION, 1, 2), (2, CLICK, 2, 2), (3, IMPRESSION, 60, 2)])
    first, second = find_slates(log, HELDOUT)
    assert (first.item_indexes.tolist(), first.chosen.tolist()) == ([1, 2], [False, True])
    assert (second.item_indexes.tolist(), second.chosen.tolist()) == ([3], [False])


def test_a_disliked_item_was_not_chosen_even_if_it_was_opened():
    log = build_log([(1, IMPRESSION, 0, 2), (1, CLICK, 1, 2), (1, DISLIKE, 2, 2)])
    assert find_slates(log, HELDOUT)[0].chosen.tolist() == [False]


def test_impressions_before_the_held_out_period_make_no_slate():
    assert find_slates(build_log([(1, IMPRESSION, 0, 0), (2, IMPRESSION, 1, 1)]), HELDOUT) == []

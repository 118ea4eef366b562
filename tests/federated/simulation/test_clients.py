import numpy as np
import pytest

from federated.simulation.choices import ChoiceMaker
from federated.simulation.clients import Clients
from federated.simulation.population import Population
from federated.simulation.slates import find_slates
from federated.simulation.user_log import CONSENTED, HELDOUT, PRIVATE, UserLog
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import DeviceSettings
from recsys.contracts.events import ACTION_CODES, SURFACE_CODES, Action, Surface
from recsys.storage.registry import BundleRegistry
from tests.bundles import bundled_workspace  # noqa: F401

SETTINGS = DeviceSettings(num_candidates=20)


@pytest.fixture(scope="module")
def cloud(bundled_workspace):  # noqa: F811
    return CloudModel.load(BundleRegistry(bundled_workspace).current())


@pytest.fixture(scope="module")
def population(bundled_workspace, cloud):  # noqa: F811
    return Population(bundled_workspace, cloud.catalogue)


@pytest.fixture(scope="module")
def logs(population):
    return {log.user_id: log for log in population.logs(population.user_ids)}


def build(cloud, population, seed=3, settings=SETTINGS):
    return Clients(cloud, population, settings, seed)


def assert_equal(left, right):
    for name in ("candidates", "cloud_scores", "query", "history", "target"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def labelled(examples):
    return [int(row[target.argmax()]) for row, target in zip(examples.candidates, examples.target, strict=True)]


def test_a_choice_knows_the_history_before_it_and_nothing_later(cloud, logs):
    for log in list(logs.values())[:5]:
        maker = ChoiceMaker(cloud, log, 100)
        for row in maker.private_rows[:3]:
            choice = maker.choice(row, fresh=True)
            assert choice.item_index == log.item_indexes[row]
            assert choice.history.tolist() == log.item_indexes[:row][log.positive[:row]].tolist()
            np.testing.assert_array_equal(choice.query, cloud.encode(choice.history))


def test_a_stale_list_comes_from_the_consented_log_alone(cloud, logs):
    log = next(iter(logs.values()))
    maker = ChoiceMaker(cloud, log, 100)
    consented = log.item_indexes[log.positive & (log.parts == CONSENTED)]
    for row in maker.private_rows:
        surface = tuple(Surface)[log.surfaces[row]]
        hidden = consented[cloud.catalogue.surfaces[consented] == SURFACE_CODES[surface]]
        hidden = hidden if surface is Surface.FEED else np.zeros(0, np.int32)
        expected = cloud.propose(
            cloud.encode(consented), consented, surface, 100, int(log.timestamps_ms[row]), hidden
        ).item_indexes
        stale = maker.choice(row, fresh=False).candidates
        assert stale.tolist() == [index for index in expected.tolist() if index in set(stale.tolist())]


def test_what_was_chosen_on_the_feed_is_not_sent_again(cloud, logs):
    for log in list(logs.values())[:10]:
        maker = ChoiceMaker(cloud, log, 100)
        for row in maker.private_rows:
            if log.surfaces[row] == SURFACE_CODES[Surface.FEED]:
                for fresh in (False, True):
                    choice = maker.choice(row, fresh)
                    assert not set(choice.candidates.tolist()) & set(choice.history.tolist())


def test_what_was_shown_beside_a_choice_joins_its_list_with_the_clouds_score(cloud, logs):
    num_joined = 0
    for log in list(logs.values())[:5]:
        maker = ChoiceMaker(cloud, log, 100)
        slates = find_slates(log, PRIVATE)
        for row in maker.private_rows:
            plain = maker.choice(row, fresh=True)
            seen = maker.add_shown(plain, row, fresh=True)
            item, now_ms = log.item_indexes[row], log.timestamps_ms[row]
            slate = next((s for s in slates if s.start_ms <= now_ms <= s.until_ms and item in s.item_indexes), None)
            if slate is None:
                continue
            here = cloud.catalogue.surfaces[slate.item_indexes] == log.surfaces[row]
            assert set(seen.candidates.tolist()) == {*plain.candidates.tolist(), *slate.item_indexes[here].tolist()}
            assert seen.passed_over.tolist() == slate.item_indexes[here & ~slate.chosen].tolist()
            assert item not in seen.passed_over
            before = dict(zip(plain.candidates.tolist(), plain.cloud_scores.tolist(), strict=True))
            after = dict(zip(seen.candidates.tolist(), seen.cloud_scores.tolist(), strict=True))
            assert {index: after[index] for index in before} == before
            assert sorted(after.values(), reverse=True) == list(after.values())
            num_joined += len(after) - len(before)
    assert num_joined > 0


def test_without_impressions_nothing_is_added(cloud, logs):
    log = next(iter(logs.values()))
    silent = log.actions != ACTION_CODES[Action.IMPRESSION]
    names = ("item_indexes", "actions", "surfaces", "timestamps_ms", "parts")
    kept = UserLog(log.user_id, log.tier, *(getattr(log, name)[silent] for name in names))
    maker = ChoiceMaker(cloud, kept, 100)
    row = maker.private_rows[0]
    plain = maker.choice(row, fresh=False)
    seen = maker.add_shown(plain, row, fresh=False)
    np.testing.assert_array_equal(plain.candidates, seen.candidates)
    assert len(seen.passed_over) == 0


def test_every_label_is_a_private_choice(cloud, population, logs):
    users = population.user_ids
    clients = build(cloud, population)
    for user_id in users:
        for examples in clients.examples([user_id]):
            private = [
                int(logs[user_id].item_indexes[row]) for row in ChoiceMaker(cloud, logs[user_id], 100).private_rows
            ]
            assert set(labelled(examples)) <= set(private)


def test_held_out_choices_are_in_no_history(cloud, population, logs):
    for user_id in population.user_ids:
        log = logs[user_id]
        last_private = log.item_indexes[log.positive & (log.parts != HELDOUT)]
        for examples in build(cloud, population).examples([user_id]):
            known = [index for index in examples.history[-1].tolist() if index]
            assert known == [] or is_run_of(known, last_private.tolist())


def is_run_of(part, whole):
    return any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))


def test_examples_do_not_depend_on_who_else_is_asked_or_in_what_order(cloud, population):
    users = population.user_ids[:6]
    together = build(cloud, population).examples(users)
    backwards = build(cloud, population).examples(users[::-1])[::-1]
    alone = [examples for user_id in users for examples in build(cloud, population).examples([user_id])]
    for one, other, third in zip(together, backwards, alone, strict=True):
        assert_equal(one, other)
        assert_equal(one, third)


def test_at_most_the_settings_number_of_examples_the_latest(cloud, population):
    many = build(cloud, population).examples(population.user_ids)
    few = build(cloud, population, settings=SETTINGS.model_copy(update={"max_examples": 2}))
    for all_examples, latest in zip(many, few.examples(population.user_ids), strict=True):
        assert labelled(latest) == labelled(all_examples)[-2:]


def test_another_seed_draws_other_candidates(cloud, population):
    one = build(cloud, population, seed=1).examples(population.user_ids[:3])
    other = build(cloud, population, seed=2).examples(population.user_ids[:3])
    assert any((a.candidates != b.candidates).any() for a, b in zip(one, other, strict=True))

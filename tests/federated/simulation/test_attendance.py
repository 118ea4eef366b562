"""Who comes through a round, by hand where it can be, over many rounds where it is drawn."""

import pytest
from pydantic import ValidationError

from federated.simulation.attendance import Crowd, gather, share_available
from recsys.config.federated import DeviceSettings, FederatedSettings, PopulationSettings, RoundSettings

USERS = [f"user-{number:03d}" for number in range(200)]
TIERS = dict(zip(USERS, ["low", "high"] * 100, strict=True))


def crowd_of(seed=1, clients=20, **changes):
    settings = FederatedSettings(
        population=PopulationSettings(**changes),
        device=DeviceSettings(max_examples=10, local_epochs=1),
        rounds=RoundSettings(clients_per_round=clients),
    )
    return Crowd(USERS, dict.fromkeys(USERS, 50), TIERS, settings, update_bytes=20_000, seed=seed)


def total(crowd, name, rounds=100, rate=None):
    return sum(len(getattr(crowd.attend(number, rate), name)) for number in range(1, rounds + 1))


def test_where_all_of_them_always_come_there_is_no_crowd():
    assert gather({"a": 1}, {}, FederatedSettings(), 10, 0) is None


def test_a_crowd_knows_how_many_bytes_a_tower_has():
    sleepy = FederatedSettings(population=PopulationSettings(least_available=0.5))
    crowd = gather({"b": 1, "a": 2}, {}, sleepy, 10, 0)
    assert (crowd.user_ids, crowd.update_bytes) == (["a", "b"], 40)


def test_a_round_is_the_same_again_and_another_one_or_seed_another():
    first = crowd_of(dropout=0.3, deadline_s=1.0).attend(3)
    assert first == crowd_of(dropout=0.3, deadline_s=1.0).attend(3)
    assert first.came != crowd_of(dropout=0.3, deadline_s=1.0).attend(4).came
    assert first.came != crowd_of(seed=2, dropout=0.3, deadline_s=1.0).attend(3).came


def test_a_round_takes_as_many_as_it_wants_sorted():
    came = crowd_of(most_available=0.9).attend(1).came
    assert list(came) == sorted(set(came))
    assert len(came) == 20


def test_the_hours_of_the_day_go_round():
    wave = PopulationSettings(most_available=0.5, least_available=0.1, peak_hour=3, first_hour=15, minutes_per_round=60)
    assert share_available(wave, 1) == pytest.approx(0.1)
    assert share_available(wave, 7) == pytest.approx(0.3)
    assert share_available(wave, 13) == pytest.approx(0.5)
    assert share_available(wave, 25) == pytest.approx(0.1)


def test_each_tier_has_hours_of_its_own_and_one_without_a_name_the_least():
    noon = {"peak_hour": 3, "first_hour": 15, "minutes_per_round": 360}  # then evening, and the best hour
    by_tier = PopulationSettings(
        most_available={"low": 0.4, "high": 0.8}, least_available={"low": 0.2, "high": 0.1}, **noon
    )
    assert [share_available(by_tier, number, "low") for number in (1, 2, 3)] == pytest.approx([0.2, 0.3, 0.4])
    assert [share_available(by_tier, number, "high") for number in (1, 2, 3)] == pytest.approx([0.1, 0.45, 0.8])
    assert [share_available(by_tier, number, "mid") for number in (1, 2, 3)] == pytest.approx([0.1, 0.25, 0.4])


def test_one_number_and_numbers_by_tier_go_together():
    mixed = PopulationSettings(most_available=0.5, least_available={"low": 0.1}, peak_hour=3, first_hour=3)
    assert share_available(mixed, 1, "low") == pytest.approx(0.5)
    assert share_available(mixed, 25, "low") == pytest.approx(0.1)


def test_a_number_for_all_and_the_same_by_tier_let_the_same_come():
    tiers = ("low", "high")
    same = {name: dict.fromkeys(tiers, value) for name, value in (("most_available", 0.4), ("least_available", 0.2))}
    one, other = crowd_of(most_available=0.4, least_available=0.2), crowd_of(**same)
    assert [one.attend(number) for number in range(1, 9)] == [other.attend(number) for number in range(1, 9)]


def test_of_the_tier_that_is_available_more_often_more_come():
    # 100 devices of each tier: 50 and 10 available on average; all are wanted.
    crowd = crowd_of(clients=200, most_available={"low": 0.1, "high": 0.5}, least_available={"low": 0.1, "high": 0.5})
    came = [TIERS[user_id] for number in range(1, 101) for user_id in crowd.attend(number).came]
    assert 47 < came.count("high") / 100 < 53
    assert 8 < came.count("low") / 100 < 12


@pytest.mark.parametrize("share", [0.0, 1.5, {}, {"low": 0.0}, {"low": 0.5, "high": 1.1}])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ValidationError, match="most_available"):
        PopulationSettings(most_available=share)


def test_where_few_are_available_few_come():
    # 200 devices, a tenth available: 20 on average, standard deviation 4.2; 50 are wanted.
    sparse = crowd_of(clients=50, most_available=0.1, least_available=0.1)
    assert 18 < total(sparse, "came") / 100 < 22


def test_the_lost_send_nothing_and_more_that_were_selected_take_their_place():
    # Of 30 selected 0.3 are lost: 9 on average, standard deviation 2.5 a round.
    crowd = crowd_of(over_selection=1.5, dropout=0.3)
    assert 8 < total(crowd, "lost") / 100 < 10
    assert total(crowd, "came") > 19 * 100
    assert total(crowd_of(dropout=0.3), "came") < 15 * 100


def test_a_round_closes_when_enough_have_reported_and_the_slowest_are_late():
    crowd = crowd_of(over_selection=1.5)
    attendance = crowd.attend(1)
    assert (len(attendance.came), len(attendance.late)) == (20, 10)
    slow = [TIERS[user_id] for user_id in attendance.late]
    assert slow.count("low") > 5
    assert not set(attendance.came) & set(attendance.late)
    assert attendance.seconds < crowd_of(clients=30).attend(1).seconds


def test_after_the_deadline_nobody_counts():
    # High tier: 2 * 20,000 / 2,000,000 + 10 * 4 ms = 0.06 s; low tier: 0.8 + 0.4 = 1.2 s. Both times a factor of which
    # one in 10,000 is above 6.4.
    attendance = crowd_of(deadline_s=0.4).attend(1)
    assert {TIERS[user_id] for user_id in attendance.came} == {"high"}
    assert attendance.seconds == 0.4
    assert len(attendance.came) + len(attendance.late) == 20


def test_a_device_of_no_tier_is_as_slow_as_the_slowest():
    unknown = crowd_of().__class__(USERS, dict.fromkeys(USERS, 50), {}, crowd_of().settings, 20_000, 1)
    low = unknown.__class__(USERS, unknown.counts, dict.fromkeys(USERS, "low"), unknown.settings, 20_000, 1)
    assert unknown.attend(1).seconds == low.attend(1).seconds > 0.4


def test_in_private_rounds_each_comes_by_themselves_and_no_round_is_closed_early():
    # At 0.2, 200 draw 40 on average, of whom a tenth are lost; more than the 20 that are wanted otherwise.
    crowd = crowd_of(dropout=0.1, most_available=0.5, least_available=0.5)
    came, asleep = total(crowd, "came", rate=0.2) / 100, total(crowd, "asleep", rate=0.2) / 100
    assert 16.5 < came < 19.5
    assert 18.5 < asleep < 21.5
    assert total(crowd, "late", rate=0.2) == 0

"""Like against dislike: counts that can be checked on paper, and Tandem's real pipelines on a few people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.baselines.likes import score_like_rate, score_liked_before, score_logistic
from benchmarks.comparison import Comparison
from benchmarks.judgements import Judgements
from benchmarks.likes import compare_likes
from benchmarks.protocols.like_or_dislike import conceal
from data.dataset import raw_event_schema
from data.split import hold_out
from recsys.config.cloud import CloudSettings, RankerSettings, RetrievalSettings
from recsys.config.federated import FederatedSettings, RoundSettings
from recsys.progress import Silent
from tests.benchmarks.tasks import make_dataset

SETTINGS = CloudSettings(
    retrieval=RetrievalSettings(dim=8, history_length=8, num_blocks=1, max_epochs=1),
    ranker=RankerSettings(max_epochs=1),
)


def make_judgements(rows: list[tuple[int, int, bool, bool]], num_items: int) -> Judgements:
    """Rows of (user, item, liked, tested), a second apart, the users together."""
    dataset = make_dataset([[] for _ in range(1 + max(user for user, *_ in rows))], num_items)
    events = [
        {
            "event_id": f"e{place:04d}",
            "user_id": f"u{user}",
            "item_id": f"i{item}",
            "action": "like" if liked else "dislike",
            "surface": "feed",
            "timestamp_ms": 1_000 * place,
        }
        for place, (user, item, liked, _) in enumerate(rows)
    ]
    table = pa.Table.from_pylist(events, schema=raw_event_schema())
    users, items, liked, tested = (np.array(column) for column in zip(*rows, strict=True))
    return Judgements(
        protocol="T",
        title="tiny",
        dataset=type(dataset)(**{**vars(dataset), "events": table}),
        split=hold_out(table, tested, "given"),
        user_ids=tuple(dataset.users.column("user_id").to_pylist()),
        item_ids=tuple(dataset.items.column("item_id").to_pylist()),
        users=users.astype(np.int64),
        items=items.astype(np.int32),
        times_ms=1_000 * np.arange(len(rows)),
        liked=liked,
        tested=tested,
    )


KNOWN = [(0, 0, True, False), (0, 1, False, False), (1, 0, True, False), (1, 0, False, False)]
TESTED = [(1, 0, True, True), (1, 1, False, True), (1, 2, True, True)]


def test_only_what_is_known_is_counted() -> None:
    task = make_judgements([*KNOWN, *TESTED], num_items=3)
    assert task.known_likes.tolist() == [2, 0, 0]
    assert task.known_dislikes.tolist() == [1, 1, 0]
    assert score_liked_before(task).tolist() == [1, 0, 0]


def test_a_like_rate_is_drawn_to_the_overall_one() -> None:
    # Two of four known rows are likes; two rows at that rate are added: (2 + 1) / (3 + 2), (0 + 1) / (1 + 2), 1 / 2.
    scores = score_like_rate(make_judgements([*KNOWN, *TESTED], num_items=3))
    assert scores.tolist() == pytest.approx([3 / 5, 1 / 3, 1 / 2])


def test_the_regression_learns_that_liked_videos_are_liked_again() -> None:
    known = [(user, item, item % 2 == 0, False) for user in range(20) for item in range(4)]
    scores = score_logistic(make_judgements([*known, (0, 0, True, True), (0, 1, False, True)], num_items=4))
    assert scores[0] > 0 > scores[1]


def test_the_regression_knows_of_a_row_only_what_came_before_it() -> None:
    # Each video is judged once: nothing precedes any row, so that all known rows look alike and no weight is learned.
    known = [(0, item, item % 2 == 0, False) for item in range(6)]
    scores = score_logistic(make_judgements([*known, (0, 0, True, True), (0, 1, False, True)], num_items=6))
    assert scores == pytest.approx([0.0, 0.0], abs=1e-6)


_ORDERS = np.random.default_rng(0)
ROWS = [
    (user, int(item), bool((item + user) % 3), place >= 9)
    for user in range(30)
    for place, item in enumerate(_ORDERS.permutation(20)[:14])
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    return compare_likes(make_judgements(ROWS, num_items=25), folder, SETTINGS, [0], Silent())


def test_every_arm_has_its_auc_per_person_and_the_two_others(comparison: Comparison) -> None:
    result = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    arms = ["liked_before", "like_rate", "logistic", "boosted", "tandem_retrieval", "tandem_ranker", "tandem_like"]
    assert list(result["arms"]) == arms
    group = result["groups"]["all"]
    assert group["num_requests"] == 30
    for arm in arms:
        assert 0 < group["arms"][arm]["user_auc"]["mean"] < 1
        assert set(group["extras"][arm]) == {"gauc", "pooled_auc", "num_users_skipped"}
    assert set(group["differences"]) == {
        *(f"{arm}-liked_before" for arm in arms[1:]),
        "tandem_ranker-tandem_retrieval",
    }


def test_what_stays_private_is_the_latest_fourth_of_what_is_known() -> None:
    rows = [(0, place, bool(place % 2), place >= 8) for place in range(10)]
    rows += [(1, place, True, False) for place in range(5)]
    task = make_judgements(rows, num_items=10)
    concealed = conceal(task)
    private = concealed.tested & ~task.tested
    assert np.flatnonzero(private).tolist() == [6, 7, 13, 14]
    assert concealed.split.mask("test").tolist() == concealed.tested.tolist()


@pytest.fixture(scope="module")
def with_device(folder: Path, comparison: Comparison) -> Comparison:
    """The same cloud, which is not trained again, and beside it one from which the latest is kept."""
    device = FederatedSettings(rounds=RoundSettings(num_rounds=2, clients_per_round=8))
    return compare_likes(make_judgements(ROWS, num_items=25), folder, SETTINGS, [0], Silent(), device)


def test_the_device_stands_beside_the_cloud_whose_order_it_changes(with_device: Comparison) -> None:
    result = json.loads(json.dumps(with_device.to_json(), allow_nan=False))
    assert list(result["arms"])[-3:] == ["without_private", "device", "device_items"]
    group = result["groups"]["all"]
    for arm in ("device", "device_items"):
        assert {f"{arm}-without_private", f"{arm}-liked_before"} <= set(group["differences"])
        assert 0 < group["arms"][arm]["user_auc"]["mean"] < 1
        assert group["extras"][arm] != group["extras"]["without_private"]
    assert group["extras"]["device"] != group["extras"]["device_items"]
    assert result["federated_settings"]["rounds"]["num_rounds"] == 2
    (facts,) = result["arms"]["device"]["runs"]
    assert len(facts["rounds"]) == 2
    # Every video was liked by somebody in either part, which then tells nothing.
    for part in ("consented", "private"):
        assert group["arms"][f"liked_before_{part}"]["user_auc"]["mean"] == 0.5


def test_a_private_like_is_an_example_where_the_same_person_disliked_something_in_private(
    comparison: Comparison, with_device: Comparison
) -> None:
    assert "device" not in comparison.arms
    # Of nine known judgements the last three (a fourth, rounded up) stay private.
    private = [[liked for _, _, liked, _ in ROWS[14 * user : 14 * user + 9][-3:]] for user in range(30)]
    likes = [sum(own) for own in private if 0 < sum(own) < 3]
    (facts,) = with_device.arms["device"].runs
    assert facts["num_people_with_examples"] == len(likes)
    assert facts["num_examples"] == sum(likes)


def test_an_arm_that_knows_nothing_stands_at_one_half(tmp_path: Path) -> None:
    known = [(user, 0, True, False) for user in range(12)]
    tested = [(user, item, item == 1, True) for user in range(12) for item in (1, 2)]
    rows = sorted([*known, *tested])
    with_history = [row for user in range(12) for row in [(user, 3, True, False), (user, 4, True, False)]]
    task = make_judgements(sorted([*rows, *with_history], key=lambda row: (row[0], row[3])), num_items=5)
    result = compare_likes(task, tmp_path, SETTINGS, [0], Silent())
    # Nobody liked videos 1 and 2 before, so that all that is tested belongs to the group of such videos.
    assert result.groups["videos never liked before"].num_requests == 12
    for group in result.groups.values():
        assert group.arms["liked_before"]["user_auc"].mean == 0.5
        assert group.extras["liked_before"]["pooled_auc"] == 0.5

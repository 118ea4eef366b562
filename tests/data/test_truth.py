import numpy as np
import pytest

from data.truth import OFFSET, SHARPNESS, Truth
from recsys.errors import DatasetError


def _truth(drift=0.5):
    """Two items along the axes; one person whose interest turns from the first axis to the second at time 100."""
    axes = np.eye(2, dtype=np.float32)
    return Truth(
        item_ids=("a", "b"),
        user_ids=("u",),
        factors=axes,
        appeal=np.zeros(2, np.float32),
        long_term=axes[:1],
        centres=axes,
        interests=np.array([[0, 1]], np.int32),
        session_starts_ms=np.array([[50, 100]]),
        drift=drift,
    )


def _logistic(cosine):
    return 1 / (1 + np.exp(-(SHARPNESS * cosine + OFFSET)))


def test_relevance_follows_the_interest_of_the_session():
    truth = _truth()
    np.testing.assert_allclose(truth.relevance("u", 99), [_logistic(1.0), _logistic(0.0)], rtol=1e-5)
    # Half of one axis and half of the other, at length 1.
    np.testing.assert_allclose(truth.relevance("u", 100), [_logistic(0.5**0.5)] * 2, rtol=1e-5)
    assert truth.relevance("u", 100).dtype == np.float32


def test_before_the_first_session_the_first_interest_holds():
    truth = _truth()
    np.testing.assert_array_equal(truth.relevance("u", 0), truth.relevance("u", 50))


def test_with_full_drift_only_the_interest_counts():
    np.testing.assert_allclose(_truth(drift=1.0).relevance("u", 100), [_logistic(0.0), _logistic(1.0)], rtol=1e-5)


def test_an_unknown_person_is_refused():
    with pytest.raises(DatasetError, match="Expected a user of the synthetic world, got 'v'"):
        _truth().relevance("v", 0)


def test_it_is_aligned_with_the_catalogue(tiny_world):
    assert list(tiny_world.truth.item_ids) == tiny_world.items.column("item_id").to_pylist()
    assert list(tiny_world.truth.item_ids) == sorted(tiny_world.truth.item_ids)
    relevance = tiny_world.truth.relevance("u01", 1_736_500_000_000)
    assert relevance.shape == (68,)
    assert ((relevance > 0) & (relevance < 1)).all()


def test_clicks_follow_it(default_world):
    """Among first slots, which nearly everybody examines, the click rate is the mean relevance."""
    events = default_world.events.to_pandas()
    first = events[(events["position"] == 0) & (events["surface"] == "feed")].sort_values("timestamp_ms")
    shown, responded = first[first["action"] == "impression"], first[~first["action"].isin(["impression", "dislike"])]
    row_of = {item_id: row for row, item_id in enumerate(default_world.truth.item_ids)}
    sample = shown.head(3_000)
    expected = [
        default_world.truth.relevance(user, time)[row_of[item]]
        for user, time, item in zip(sample["user_id"], sample["timestamp_ms"], sample["item_id"], strict=True)
    ]
    happened = sample.merge(responded, on=["user_id", "item_id"], how="inner")
    assert len(happened) / len(sample) == pytest.approx(np.mean(expected), abs=0.03)


def test_loading_gives_back_what_was_saved(tmp_path, tiny_world):
    tiny_world.truth.save(tmp_path / "truth.npz")
    loaded = Truth.load(tmp_path / "truth.npz")
    assert loaded.item_ids == tiny_world.truth.item_ids
    assert loaded.drift == tiny_world.truth.drift
    for time_ms in (1_736_200_000_000, 1_736_900_000_000):
        before, after = tiny_world.truth.relevance("u07", time_ms), loaded.relevance("u07", time_ms)
        np.testing.assert_array_equal(before, after)


def test_an_absent_file_is_explained(tmp_path):
    with pytest.raises(DatasetError, match=r"got no such file\. Only `synthetic` has one"):
        Truth.load(tmp_path / "truth.npz")


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"not an archive"])
def test_a_damaged_file_is_refused(tmp_path, tiny_world, damage):
    path = tmp_path / "truth.npz"
    tiny_world.truth.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match="got a broken file"):
        Truth.load(path)

import numpy as np

from data.identity import assign_tiers, hash_ids


def test_a_hash_is_stable_across_runs_and_differs_between_salts():
    # int.from_bytes(hashlib.blake2b(b"anna", digest_size=8, person=b"x").digest(), "little")
    assert hash_ids(["anna"], "x").tolist() == [10438642067030524270]
    assert hash_ids(["anna"], "x") != hash_ids(["anna"], "y")


def test_tiers_are_stable_per_person_and_near_their_shares():
    ids = [str(number) for number in range(10_000)]
    table = assign_tiers(ids)
    tiers = np.array(table.column("device_tier").to_pylist())
    shares = [(tiers == tier).mean() for tier in ("low", "mid", "high")]
    np.testing.assert_allclose(shares, [0.3, 0.5, 0.2], atol=0.02)
    assert assign_tiers(ids[::-1]).column("device_tier").to_pylist() == tiers[::-1].tolist()

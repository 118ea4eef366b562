from __future__ import annotations

import numpy as np

from federated.simulation.distribution import distribute


def test_people_are_counted_by_quality_and_by_gain_for_all_and_for_each_tier() -> None:
    ndcg = {"cloud_only": np.array([0.0, 0.5, 1.0]), "full_loop": np.array([0.0, 1.0, 0.0])}
    found = distribute(ndcg, ["low", "high", "low"])
    quality, gain = found["ndcg_at_10"], found["gain_over_cloud_only"]
    assert (len(quality["edges"]), len(gain["edges"])) == (21, 42)
    assert set(quality["counts"]) == set(gain["counts"]) == {"all", "low", "high"}
    # Bins of 0.05: 0 falls into the first, 0.5 into the eleventh, 1 into the last, which is closed.
    assert np.flatnonzero(quality["counts"]["all"]["cloud_only"]).tolist() == [0, 10, 19]
    assert quality["counts"]["low"]["full_loop"][0] == 2
    # Gains of 0, 0.5 and −1; the middle one of 41 bins holds those for whom nothing changed.
    assert np.flatnonzero(gain["counts"]["all"]["full_loop"]).tolist() == [0, 20, 30]
    assert gain["counts"]["high"]["full_loop"][30] == 1
    assert set(gain["counts"]["all"]) == {"full_loop"}

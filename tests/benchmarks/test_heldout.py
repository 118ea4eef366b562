from __future__ import annotations

import numpy as np

from benchmarks.heldout import heldout_events
from federated.simulation.user_log import CONSENTED, HELDOUT, PRIVATE, UserLog
from recsys.cascade.cloud import CloudModel
from recsys.contracts.events import ACTION_CODES, SURFACE_CODES, Surface
from recsys.storage.registry import BundleRegistry
from tests.bundles import bundled_workspace  # noqa: F401


def make_log(catalogue, rows):
    """Rows of (item_index, action, part), in the order of time."""
    items, actions, parts = zip(*rows, strict=True)
    items = np.array(items, np.int32)
    return UserLog(
        "ada",
        "mid",
        items,
        np.array([ACTION_CODES[action] for action in actions], np.int8),
        catalogue.surfaces[items],
        np.arange(len(rows), dtype=np.int64),
        np.array(parts, np.int8),
    )


def test_an_event_knows_all_earlier_positives_and_feed_items_count_once(bundled_workspace):  # noqa: F811
    catalogue = CloudModel.load(BundleRegistry(bundled_workspace).current()).catalogue
    feed = np.flatnonzero(catalogue.surfaces == SURFACE_CODES["feed"])[:3].tolist()
    live = int(np.flatnonzero(catalogue.surfaces == SURFACE_CODES["live"])[0])
    log = make_log(
        catalogue,
        [
            (feed[0], "click", CONSENTED),
            (live, "click", PRIVATE),
            (feed[1], "impression", HELDOUT),
            (feed[1], "click", HELDOUT),
            (feed[0], "click", HELDOUT),
            (live, "click", HELDOUT),
        ],
    )
    first, second = heldout_events(log, catalogue)
    assert (first.target, first.surface, first.history.tolist()) == (feed[1], Surface.FEED, [feed[0], live])
    assert (second.target, second.surface) == (live, Surface.LIVE)
    assert second.history.tolist() == [feed[0], live, feed[1], feed[0]]
    assert np.flatnonzero(first.allowed(catalogue) != catalogue.on_surface(Surface.FEED)).tolist() == [feed[0]]
    assert (second.allowed(catalogue) == catalogue.on_surface(Surface.LIVE)).all()

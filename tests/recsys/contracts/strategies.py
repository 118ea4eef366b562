"""Contract values for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.events import MAX_TIMESTAMP_MS, Action, Event, Surface

IDS = st.text(min_size=1, max_size=12)


@st.composite
def events(draw: st.DrawFn) -> Event:
    surface = draw(st.sampled_from(Surface))
    return Event(
        event_id=draw(IDS),
        user_id=draw(IDS),
        item_id=draw(IDS),
        action=draw(st.sampled_from(Action)),
        surface=surface,
        timestamp_ms=draw(st.integers(0, MAX_TIMESTAMP_MS - 1)),
        value=draw(st.floats(0, 1e6, width=32)),
        position=draw(st.none() | st.integers(0, 500)),
        room_id=draw(IDS) if surface is Surface.LIVE else None,
    )


@st.composite
def snapshots(draw: st.DrawFn, dim: int = 3) -> EmbeddingSnapshot:
    """Few ids from a small set, so that two snapshots overlap; components that float16 holds."""
    ids = tuple(sorted(draw(st.sets(st.sampled_from([f"item-{number}" for number in range(8)])))))
    components = st.integers(-64, 64).map(lambda number: number / 8)
    rows = [draw(st.lists(components, min_size=dim, max_size=dim)) for _ in ids]
    return EmbeddingSnapshot(ids, np.asarray(rows, np.float32).reshape(len(ids), dim))

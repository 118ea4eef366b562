"""Laws of what turns an `EmbeddingSnapshot` into bytes and back.

class TestMyCodec(SnapshotCodecLaws):
    error = MyError
    def encode(self, snapshot): ...
    def decode(self, content): ...
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.errors import TandemError
from tests.recsys.contracts.strategies import snapshots
from tests.suites.shared_laws import shared_law

THREE = EmbeddingSnapshot(("a", "b", "c"), np.array([[1, 2], [0.5, -4], [0, 0.25]], np.float32))


class SnapshotCodecLaws:
    error: type[TandemError]

    def encode(self, snapshot):
        raise NotImplementedError

    def decode(self, content):
        raise NotImplementedError

    @shared_law
    @given(snapshots())
    def test_a_snapshot_comes_back_as_it_was(self, snapshot):
        decoded = self.decode(self.encode(snapshot))
        assert decoded == snapshot
        assert decoded.version == snapshot.version
        assert decoded.vectors.dtype == np.float32

    @shared_law
    @given(snapshots())
    def test_equal_snapshots_give_equal_bytes(self, snapshot):
        copy = EmbeddingSnapshot(tuple(snapshot.item_ids), snapshot.vectors.copy())
        assert self.encode(copy) == self.encode(snapshot)

    def test_vectors_that_are_a_view_of_others_come_back(self):
        wide = np.arange(12, dtype=np.float32).reshape(3, 4)
        snapshot = EmbeddingSnapshot(("a", "b", "c"), wide[:, ::2])
        assert self.decode(self.encode(snapshot)).vectors.tolist() == [[0, 2], [4, 6], [8, 10]]

    def test_a_snapshot_without_items_keeps_its_dim(self):
        assert self.decode(self.encode(EmbeddingSnapshot((), np.zeros((0, 5), np.float32)))).dim == 5

    def test_ids_of_any_script_come_back(self):
        ids = tuple(sorted(("Ünï", "日本", "id with spaces", "\n", "🎁")))
        snapshot = EmbeddingSnapshot(ids, np.arange(10, dtype=np.float32).reshape(5, 2))
        assert self.decode(self.encode(snapshot)) == snapshot

    def test_the_sign_of_zero_survives(self):
        snapshot = EmbeddingSnapshot(("a",), np.array([[-0.0, 1]], np.float32))
        assert np.signbit(self.decode(self.encode(snapshot)).vectors[0, 0])

    def test_content_that_is_cut_anywhere_is_refused(self):
        content = self.encode(THREE)
        for length in range(len(content)):
            with pytest.raises(self.error):
                self.decode(content[:length])

    @shared_law
    @given(st.data())
    def test_an_altered_byte_never_gives_another_snapshot(self, data):
        content = bytearray(self.encode(THREE))
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        try:
            decoded = self.decode(bytes(content))
        except self.error:
            return
        assert decoded == THREE  # The byte lay in a gap that means nothing.

    @shared_law
    @given(st.binary(max_size=200))
    def test_garbage_is_refused(self, garbage):
        with pytest.raises(self.error, match=r"Expected .*snapshot.* got .*none"):
            self.decode(garbage)

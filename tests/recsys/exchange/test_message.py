from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.contracts.embeddings import EmbeddingDelta, EmbeddingSnapshot
from recsys.errors import ContractError, VersionMismatchError
from recsys.exchange.delta import apply_delta, diff
from recsys.exchange.message import CODECS, decode_delta, decode_snapshot, encode_delta, encode_snapshot
from recsys.exchange.rounding import round_to_float16
from tests.recsys.contracts.strategies import snapshots
from tests.suites.codec import THREE, SnapshotCodecLaws

SMALL = EmbeddingDelta("v1", "v2", ("a", "c"), np.array([[1, 2], [3, 4]], np.float32), ("b", "d"))
TENTH = EmbeddingSnapshot(("a", "b"), np.array([[0.5, 0.25], [0.1, 1]], np.float32))


class TestFloat32(SnapshotCodecLaws):
    error = ContractError

    def encode(self, snapshot):
        return encode_snapshot(snapshot, "float32")

    def decode(self, content):
        return decode_snapshot(content)


class TestFloat16(SnapshotCodecLaws):
    error = ContractError

    def encode(self, snapshot):
        return encode_snapshot(snapshot, "float16")

    def decode(self, content):
        return decode_snapshot(content)


@pytest.mark.parametrize("codec", CODECS)
@given(snapshots(), snapshots())
def test_a_delta_comes_back_and_leads_to_the_same_snapshot(codec, base, target):
    delta = diff(base, target)
    decoded = decode_delta(encode_delta(delta, codec))
    assert fields(decoded) == fields(delta)
    assert apply_delta(base, decoded) == target


@given(snapshots(), snapshots(), st.data())
def test_an_altered_delta_never_leads_elsewhere(base, target, data):
    message = bytearray(encode_delta(diff(base, target)))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= data.draw(st.integers(1, 255))
    try:
        reached = apply_delta(base, decode_delta(bytes(message)))
    except (ContractError, VersionMismatchError):
        return
    assert reached == target


def test_a_delta_that_is_cut_anywhere_is_refused():
    message = encode_delta(SMALL)
    for length in range(len(message)):
        with pytest.raises(ContractError, match=f"a delta message, got {length} bytes that are none"):
            decode_delta(message[:length])


@pytest.mark.parametrize("decode", [decode_snapshot, decode_delta])
@pytest.mark.parametrize("tail", [b"\0", b"garbage", encode_snapshot(THREE)])
def test_a_message_with_a_tail_is_refused(decode, tail):
    message = encode_snapshot(THREE) if decode is decode_snapshot else encode_delta(SMALL)
    with pytest.raises(ContractError, match="it does not end where it should"):
        decode(message + tail)


@given(st.binary(max_size=200))
def test_garbage_is_no_delta(garbage):
    with pytest.raises(ContractError, match=f"a delta message, got {len(garbage)} bytes that are none"):
        decode_delta(garbage)


def test_a_snapshot_is_no_delta_nor_the_other_way_round():
    with pytest.raises(ContractError, match=r"a delta message, .* it says it is 'snapshot'"):
        decode_delta(encode_snapshot(THREE))
    with pytest.raises(ContractError, match=r"a snapshot message, .* it says it is 'delta'"):
        decode_snapshot(encode_delta(SMALL))


def test_float16_refuses_what_it_cannot_hold_and_names_the_item():
    with pytest.raises(ContractError, match=r"float16 holds exactly, got others for 1 items, the first 'b'.*round_to"):
        encode_snapshot(TENTH, "float16")
    assert decode_snapshot(encode_snapshot(TENTH, "float32")) == TENTH


@pytest.mark.parametrize("value", [70_000.0, 1e-9, -70_000.0, 1 + 2**-12])
def test_float16_refuses_values_beyond_its_range_and_precision(value):
    snapshot = EmbeddingSnapshot(("a",), np.array([[value]], np.float32))
    with pytest.raises(ContractError, match="float16 holds exactly"):
        encode_snapshot(snapshot, "float16")


def test_float16_refuses_a_delta_that_it_cannot_hold():
    empty = EmbeddingSnapshot((), np.zeros((0, 2), np.float32))
    with pytest.raises(ContractError, match="got others for 1 items, the first 'b'"):
        encode_delta(diff(empty, TENTH), "float16")


def test_rounded_vectors_travel_as_float16_in_half_the_bytes():
    vectors = round_to_float16(np.random.default_rng(0).normal(size=(1_000, 16)).astype(np.float32))
    snapshot = EmbeddingSnapshot(tuple(f"{row:04d}" for row in range(1_000)), vectors)
    half, whole = (encode_snapshot(snapshot, codec) for codec in ("float16", "float32"))
    assert decode_snapshot(half) == snapshot
    assert len(whole) - len(half) == pytest.approx(1_000 * 16 * 2, abs=64)


def test_an_unknown_codec_is_refused():
    with pytest.raises(ContractError, match=r"a codec out of \['float32', 'float16'\], got 'int8'"):
        encode_snapshot(THREE, "int8")


def test_vectors_without_components_are_refused():
    with pytest.raises(ContractError, match="length 1 or more in a message, got length 0"):
        encode_snapshot(EmbeddingSnapshot((), np.zeros((0, 0), np.float32)))


def test_any_arrow_reader_can_read_a_message():
    table = pa.ipc.open_stream(encode_delta(SMALL)).read_all()
    assert table.to_pylist() == [
        {"item_id": "a", "vector": [1, 2]},
        {"item_id": "c", "vector": [3, 4]},
        {"item_id": "b", "vector": None},
        {"item_id": "d", "vector": None},
    ]
    assert table.schema.metadata == {
        b"kind": b"delta",
        b"base_version": b"v1",
        b"version": b"v2",
        b"dim": b"2",
        b"codec": b"float16",
        b"num_rows": b"4",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "0123456789abcdef"}, "Expected snapshot 0123456789abcdef, got content of version"),
        ({"kind": None}, "it says it is 'nothing'"),
        ({"version": None}, r"its metadata lack \['version'\]"),
        ({"num_rows": "2"}, "its 3 rows of .* are not those it announces"),
        ({"dim": "3"}, "are not those it announces"),
        ({"dim": "two"}, "invalid literal"),
        ({"dim": None}, "'dim'"),
        ({"codec": "float32"}, "are not those it announces"),
        ({"codec": "int8"}, "'int8'"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ContractError, match=message):
        decode_snapshot(rewrite(encode_snapshot(THREE), changes))


def test_offsets_that_point_beyond_the_message_are_refused():
    message = encode_snapshot(THREE)
    offsets = np.array([0, 1, 2, 3], np.int32).tobytes()
    assert message.count(offsets) == 1
    wild = message.replace(offsets, np.array([0, 1, 2, 1_000_000], np.int32).tobytes())
    with pytest.raises(ContractError, match=r"[Oo]ffset"):
        decode_snapshot(wild)


def test_a_snapshot_with_a_row_without_vector_is_refused():
    message = rewrite(encode_delta(SMALL), {"kind": "snapshot"})
    with pytest.raises(ContractError, match="rows without a vector stand where none may"):
        decode_snapshot(message)


def test_a_delta_whose_removed_rows_do_not_come_last_is_refused():
    message = rewrite(encode_delta(SMALL), {}, order=[2, 0, 1, 3])
    with pytest.raises(ContractError, match="rows without a vector stand where none may"):
        decode_delta(message)


def test_a_stream_of_arrow_that_is_no_message_is_refused():
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, pa.schema([("x", pa.int32())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int32())], ["x"]))
    with pytest.raises(ContractError, match="it says it is 'nothing'"):
        decode_snapshot(sink.getvalue())


def rewrite(message: bytes, changes: dict[str, str | None], order: list[int] | None = None) -> bytes:
    """The message with other metadata (None: without) and with its rows in another order."""
    batch = pa.ipc.open_stream(message).read_next_batch()
    metadata = {key.decode(): value.decode() for key, value in batch.schema.metadata.items()} | changes
    schema = batch.schema.with_metadata({key: value for key, value in metadata.items() if value is not None})
    columns = batch.columns if order is None else [column.take(pa.array(order)) for column in batch.columns]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return sink.getvalue()


def fields(delta: EmbeddingDelta) -> tuple[object, ...]:
    return (delta.base_version, delta.version, delta.item_ids, delta.removed_ids, delta.vectors.tolist())

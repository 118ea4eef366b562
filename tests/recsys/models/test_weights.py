import io

import numpy as np
import pytest
import tensorflow as tf

from recsys.config.federated import DeviceSettings
from recsys.errors import BundleError
from recsys.models.device_tower import build_device_tower
from recsys.models.weights import decode_weights, encode_weights, restore_grown_weights, restore_weights
from tests.recsys.models.conftest import DIM


def test_restored_weights_are_those_that_were_encoded(device_tower, shuffle_weights):
    data = encode_weights(device_tower)
    before = device_tower.get_weights()
    shuffle_weights(device_tower)
    restore_weights(device_tower, data)
    for restored, original in zip(device_tower.get_weights(), before, strict=True):
        np.testing.assert_array_equal(restored, original)


def test_equal_weights_give_equal_bytes(device_tower):
    assert encode_weights(device_tower) == encode_weights(device_tower)


def test_names_count_up_in_the_order_of_the_model(device_tower):
    arrays = decode_weights(encode_weights(device_tower))
    assert [name.split(":")[0] for name in arrays] == [f"{place:02d}" for place in range(len(device_tower.weights))]
    assert [array.shape for array in arrays.values()] == [weight.shape for weight in device_tower.get_weights()]


def test_weights_of_another_structure_are_refused_and_nothing_changes(device_tower):
    other = encode_weights(build_device_tower(DIM, DeviceSettings(history_length=5, hidden_units=(9, 4))))
    before = device_tower.get_weights()
    with pytest.raises(BundleError, match=r"differ first at 2: expected \[\(21, 7\)\], got \[\(21, 9\)\]"):
        restore_weights(device_tower, other)
    assert all(np.array_equal(a, b) for a, b in zip(device_tower.get_weights(), before, strict=True))


def test_too_few_weights_are_refused(device_tower):
    buffer = io.BytesIO()
    np.savez(buffer, **dict(list(decode_weights(encode_weights(device_tower)).items())[:-1]))
    with pytest.raises(BundleError, match="Expected 8 weights for 'device_tower', got 7"):
        restore_weights(device_tower, buffer.getvalue())


@pytest.mark.parametrize("data", [b"", b"garbage", b"PK\x03\x04 and no more"])
def test_bytes_that_are_no_npz_file_are_refused(data):
    with pytest.raises(BundleError, match=f"Expected weights as an npz file, got {len(data)} bytes"):
        decode_weights(data)


def test_an_altered_npz_file_is_refused(device_tower):
    data = bytearray(encode_weights(device_tower))
    data[200] ^= 0xFF
    with pytest.raises(BundleError, match="Expected weights as an npz file"):
        decode_weights(bytes(data))


def test_pickled_objects_are_refused():
    buffer = io.BytesIO()
    np.savez(buffer, harmful=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="Expected weights as an npz file"):
        decode_weights(buffer.getvalue())


class Tables(tf.keras.Model):
    def __init__(self, num_rows, width=2):
        super().__init__()
        self.table = self.add_weight("table", (num_rows, width), initializer="ones")
        self.other = self.add_weight("other", (3,), initializer="ones")


def test_a_table_that_has_grown_keeps_its_rows_and_gets_zeros_for_the_new_ones():
    grown = Tables(4)
    restore_grown_weights(grown, encode_weights(Tables(2)), [grown.table])
    np.testing.assert_array_equal(grown.table, [[1, 1], [1, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(grown.other, [1, 1, 1])


@pytest.mark.parametrize("other", [Tables(5), Tables(3, width=1)])
def test_a_table_that_has_shrunk_or_changed_its_width_is_refused(other):
    model = Tables(4)
    with pytest.raises(BundleError, match=r"differ first at 0: expected \[\(4, 2\)\]"):
        restore_grown_weights(model, encode_weights(other), [model.table])
    np.testing.assert_array_equal(model.table, np.ones((4, 2)))


def test_only_the_named_tables_may_have_grown():
    model = Tables(4)
    with pytest.raises(BundleError, match=r"differ first at 0: expected \[\(4, 2\)\], got \[\(2, 2\)\]"):
        restore_grown_weights(model, encode_weights(Tables(2)), [])

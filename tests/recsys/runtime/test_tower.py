"""Towers and signatures on a model that counts: `bump` adds to a variable, `read` returns it, `restore` sets it."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from recsys.errors import BundleError
from recsys.models.export import convert_signatures, trace
from recsys.runtime.signatures import Signatures
from recsys.runtime.tower import SMALL_BATCH, Tower


@pytest.fixture(scope="module")
def model():
    holder = tf.Module()
    holder.count = tf.Variable([1.0, 2.0])

    def bump(by):
        holder.count.assign_add(by)
        return {"count": tf.identity(holder.count)}

    def restore(weights):
        holder.count.assign(weights)
        return {"weights": tf.identity(holder.count)}

    pair, table = tf.TensorSpec([2]), tf.TensorSpec([None, 2])
    signatures = {
        "bump": trace(bump, {"by": pair}),
        "read": trace(lambda rows: {"sum": rows + holder.count}, {"rows": table}),
        "restore": trace(restore, {"weights": pair}),
    }
    return convert_signatures(holder, signatures, with_state=True)


ROWS = np.zeros((1, 2), np.float32)


def floats(*values):
    return np.asarray(values, np.float32)


def test_the_signatures_of_one_interpreter_share_its_variables(model):
    signatures = Signatures(model)
    assert signatures.names == ("bump", "read", "restore")
    assert signatures.run("bump", by=floats(1, 1))["count"].tolist() == [2, 3]
    assert signatures.run("read", rows=ROWS)["sum"].tolist() == [[2, 3]]
    assert Signatures(model).run("read", rows=ROWS)["sum"].tolist() == [[1, 2]]


def test_a_free_axis_is_declared_as_minus_one_and_takes_any_size(model):
    signatures = Signatures(model)
    assert signatures.input_shapes("read") == {"rows": (-1, 2)}
    for count in (3, 1, 5):
        assert signatures.run("read", rows=np.zeros((count, 2), np.float32))["sum"].shape == (count, 2)


def test_inputs_of_the_shapes_of_the_last_time_are_read_anew_whatever_ran_in_between(model):
    signatures = Signatures(model)
    for value, count in ((1, 2), (2, 2), (3, 1), (4, 2), (5, 2)):
        rows = np.full((count, 2), value, np.float32)
        assert signatures.run("read", rows=rows)["sum"].tolist() == [[value + 1, value + 2]] * count
    signatures.run("bump", by=floats(1, 1))
    assert signatures.run("read", rows=np.zeros((2, 2), np.float32))["sum"].tolist() == [[2, 3]] * 2
    with pytest.raises(BundleError, match=r"Expected 'rows' \[-1, 2\]"):
        signatures.run("read", rows=np.zeros((2, 3), np.float32))
    assert signatures.run("read", rows=ROWS)["sum"].tolist() == [[2, 3]]


def test_an_answer_is_not_changed_by_the_next_run(model):
    signatures = Signatures(model)
    first = signatures.run("read", rows=ROWS)["sum"]
    signatures.run("read", rows=ROWS + 5)
    assert first.tolist() == [[1, 2]]


def test_an_unknown_signature_is_refused_with_those_that_there_are(model):
    with pytest.raises(
        BundleError, match=r"Expected the signature 'infer' in the model, got \['bump', 'read', 'restore'\]"
    ):
        Signatures(model).run("infer")
    with pytest.raises(BundleError, match="`tandem federate` and `tandem train` publish it anew"):
        Tower(model, "infer")


def test_other_inputs_are_refused(model):
    with pytest.raises(BundleError, match=r"Expected inputs \['by'\] for tower signature 'bump', got \['to'\]"):
        Signatures(model).run("bump", to=floats(1, 1))
    with pytest.raises(BundleError, match=r"Expected the input 'cols' of signature 'read', got \['rows'\]"):
        Tower(model, "read").input_shape("cols")


@pytest.mark.parametrize("value", [floats(1), floats(1, 2, 3), ROWS])
def test_an_input_of_another_shape_is_refused_and_nothing_changes(model, value):
    signatures = Signatures(model)
    with pytest.raises(BundleError, match=r"Expected 'by' \[2\] for tower signature 'bump', got \["):
        signatures.run("bump", by=value)
    assert signatures.run("read", rows=ROWS)["sum"].tolist() == [[1, 2]]


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(BundleError, match="Expected a LiteRT model, got 5 bytes that are none"):
        Signatures(b"hello")


def test_every_thread_sees_the_restored_weights_and_those_that_come_later(model):
    tower = Tower(model, "read")
    seen, go = [], [threading.Event(), threading.Event()]

    def read():
        for event in go:
            event.wait(10)
            seen.append(tower(rows=ROWS)["sum"].tolist())

    thread = threading.Thread(target=read)
    thread.start()
    assert tower(rows=ROWS)["sum"].tolist() == [[1, 2]]
    tower.restore(floats(5, 6))
    go[0].set()
    while len(seen) < 1:
        thread.join(0.01)
    tower.restore(floats(7, 8))
    go[1].set()
    thread.join()
    assert tower(rows=ROWS)["sum"].tolist() == [[7, 8]]
    assert seen == [[[5, 6]], [[7, 8]]]


def test_weights_of_another_number_are_refused_and_nothing_changes(model):
    tower = Tower(model, "read")
    with pytest.raises(BundleError, match=r"Expected 'weights' \[2\] for tower signature 'restore', got \[3\]"):
        tower.restore(floats(1, 2, 3))
    assert tower(rows=ROWS)["sum"].tolist() == [[1, 2]]


def test_batches_of_all_sizes_take_turns_and_see_weights_restored_in_between(model):
    tower = Tower(model, "read")
    assert tower.takes_batches
    for weights in ([5.0, 6.0], [7.0, 8.0]):
        tower.restore(floats(*weights))
        for size in (1, 3, SMALL_BATCH, SMALL_BATCH + 1, SMALL_BATCH + 9, 3, 1, 0):
            assert tower(rows=np.zeros((size, 2), np.float32))["sum"].tolist() == [weights] * size


def test_a_model_that_declares_one_row_is_run_row_by_row():
    holder = tf.Module()
    shapes = {name: tf.TensorSpec([1, 2]) for name in ("left", "right")}
    model = convert_signatures(holder, {"add": trace(lambda left, right: {"sum": left + right}, shapes)})
    tower = Tower(model, "add")
    assert not tower.takes_batches
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert tower(left=rows, right=rows)["sum"].tolist() == (2 * rows).tolist()
    with pytest.raises(BundleError, match=r"Expected 'left' \[1, 2\]"):
        tower(left=rows[:0], right=rows[:0])

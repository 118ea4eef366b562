import numpy as np
import pytest

from federated.simulation.packed.store import ExampleStore, Extent, hold_store, write_table
from recsys.errors import FederationError, WorkspaceError

FIELDS = {"item": (np.int32, (2,)), "score": (np.float32, ())}


def examples(*numbers):
    return {
        "item": np.asarray([[number, -number] for number in numbers], np.int32).reshape(-1, 2),
        "score": np.asarray(numbers, np.float32) / 2,
    }


def read(column):
    return np.fromfile(column.path, column.dtype).reshape(column.shape)


def test_people_lie_behind_each_other_in_the_order_in_which_they_came(tmp_path):
    store = ExampleStore(tmp_path, FIELDS, 4)
    assert store.add("b", examples(7, 8)) == Extent(0, 2)
    assert store.add("nobody", examples()) == Extent(2, 0)
    assert store.add("a", examples(9)) == Extent(2, 1)
    assert store.extent("b") == Extent(0, 2)
    assert ("a" in store, "c" in store) == (True, False)
    assert read(store.columns["item"]).tolist() == [[7, -7], [8, -8], [9, -9], [0, 0]]
    assert read(store.columns["score"]).tolist() == [3.5, 4.0, 4.5, 0.0]


def test_files_have_their_full_length_before_anybody_is_there(tmp_path):
    columns = ExampleStore(tmp_path, FIELDS, 1_000_000).columns
    assert columns["item"].path.stat().st_size == 8_000_000
    assert columns["item"].path.stat().st_blocks * 512 < 100_000


def test_a_new_store_forgets_what_lay_there(tmp_path):
    ExampleStore(tmp_path, FIELDS, 2).add("a", examples(5))
    assert not read(ExampleStore(tmp_path, FIELDS, 2).columns["item"]).any()


def test_nobody_is_written_twice(tmp_path):
    store = ExampleStore(tmp_path, FIELDS, 4)
    store.add("a", examples(1))
    with pytest.raises(FederationError, match="not in the store yet, got 'a' again"):
        store.add("a", examples(1))


def test_more_rows_than_there_is_room_for_are_refused(tmp_path):
    store = ExampleStore(tmp_path, FIELDS, 2)
    store.add("a", examples(1))
    with pytest.raises(FederationError, match="at most 2 examples in all, got 3"):
        store.add("b", examples(1, 2))
    assert "b" not in store


@pytest.mark.parametrize(
    "wrong",
    [
        {"item": np.zeros((1, 2), np.int32)},
        {"item": np.zeros((1, 3), np.int32), "score": np.zeros(1, np.float32)},
        {"item": np.zeros((1, 2), np.int64), "score": np.zeros(1, np.float32)},
        {"item": np.zeros((1, 2), np.int32), "score": np.zeros(2, np.float32)},
    ],
)
def test_examples_of_another_form_are_refused(tmp_path, wrong):
    with pytest.raises(FederationError, match=r"Expected examples with the fields .*'score'.* and one length, got"):
        ExampleStore(tmp_path, FIELDS, 4).add("a", wrong)


def test_a_held_store_is_gone_afterwards_even_after_an_error(tmp_path):
    with hold_store(tmp_path / "examples", FIELDS, 1) as store, pytest.raises(FederationError):
        store.add("a", examples(1, 2))
    assert not (tmp_path / "examples").exists()
    with pytest.raises(FederationError), hold_store(tmp_path / "examples", FIELDS, 1) as store:
        store.add("a", examples(1, 2))
    assert not (tmp_path / "examples").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match="Expected to write"):
        ExampleStore(tmp_path / "file" / "examples", FIELDS, 4)


def test_a_shared_table_is_read_as_it_was_written(tmp_path):
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    column = write_table(tmp_path / "new" / "table.bin", table.T.copy().T)
    assert column.shape == (3, 2)
    np.testing.assert_array_equal(read(column), table)

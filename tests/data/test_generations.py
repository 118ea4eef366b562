import pyarrow as pa
import pytest

from data.generations import generations_of, mark_generations
from recsys.errors import ContractError

ITEMS = pa.table({"item_id": ["a", "b", "c"]})


def test_a_catalogue_that_says_nothing_is_one_generation():
    assert generations_of(ITEMS) == [3]
    assert mark_generations(ITEMS, [3]).schema.metadata is None


def test_what_was_marked_is_found_again():
    assert generations_of(mark_generations(ITEMS, [2, 1])) == [2, 1]


@pytest.mark.parametrize("text", [b"[2, 2]", b"[3, 0]", b"no json", b"7", b"[]"])
def test_numbers_that_do_not_add_up_are_refused(text):
    broken = ITEMS.replace_schema_metadata({b"generations": text})
    with pytest.raises(ContractError, match="Expected generations that add up to 3 items"):
        generations_of(broken)

from __future__ import annotations

import pyarrow as pa

from pipelines.arrow_coder import ArrowTableCoder


def test_a_table_comes_back_equal_with_its_schema() -> None:
    table = pa.table({"a": [1, None], "b": [["x"], []]}).replace_schema_metadata({"k": "v"})
    coder = ArrowTableCoder()
    decoded = coder.decode(coder.encode(table))
    assert decoded.equals(table, check_metadata=True)


def test_a_slice_travels_without_the_rows_around_it() -> None:
    table = pa.table({"a": [str(number) for number in range(100_000)]})
    coder = ArrowTableCoder()
    encoded = coder.encode(table.slice(5, 2))
    assert coder.decode(encoded).to_pydict() == {"a": ["5", "6"]}
    assert len(encoded) < 1_000


def test_tables_are_no_keys() -> None:
    assert not ArrowTableCoder().is_deterministic()
    assert ArrowTableCoder().to_type_hint() is pa.Table

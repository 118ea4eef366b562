from __future__ import annotations

import pytest

from recsys.features import id_table
from recsys.features.id_table import IdTable

IDS = [f"item-{number}" for number in range(1, 2_001)]


def test_each_id_has_its_index_and_others_have_none():
    table = IdTable(IDS)
    assert table.find(IDS).tolist() == list(range(1, 2_001))
    assert table.find(iter(["item-7", "", "item-0", "item-2000", "item-7"])).tolist() == [7, 0, 0, 2_000, 7]


@pytest.mark.parametrize("ids", [[], ["only"]])
def test_few_ids_and_no_questions_are_answered_too(ids):
    table = IdTable(ids)
    assert table.find(["only", "other"]).tolist() == [len(ids), 0]
    assert table.find([]).shape == (0,)


def test_indexes_are_of_32_bits():
    assert IdTable(IDS).find(IDS[:3]).dtype == "int32"
    assert IdTable([]).find(IDS[:3]).dtype == "int32"


def test_ids_with_the_same_hash_are_told_apart(monkeypatch):
    """Python's own hashes never meet among so few: here all texts of one length have one."""
    monkeypatch.setattr(id_table, "hash", len, raising=False)
    table = IdTable(["aa", "b", "cc"])
    assert table.find(["cc", "b", "aa", "dd"]).tolist() == [3, 2, 1, 0]

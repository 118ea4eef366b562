"""Generations of a catalogue: the items that came first, then those of each append.

An item's number is its row in a catalogue that is ordered by generation, then by id; so it never changes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from recsys.errors import ContractError

_KEY: Final = b"generations"


def mark_generations(items: pa.Table, lengths: Sequence[int]) -> pa.Table:
    """Returns a catalogue that says how many items each generation has; a single one need not be said."""
    if len(lengths) < 2:
        return items
    return items.replace_schema_metadata({**(items.schema.metadata or {}), _KEY: json.dumps(list(lengths)).encode()})


def generations_of(items: pa.Table) -> list[int]:
    """Returns how many items each generation has, in their order.

    Raises:
      ContractError: If the numbers do not add up to the items.
    """
    text = (items.schema.metadata or {}).get(_KEY)
    if text is None:
        return [items.num_rows]
    try:
        lengths = [int(length) for length in json.loads(text)]
    except (ValueError, TypeError):
        lengths = []
    if sum(lengths) != items.num_rows or min(lengths, default=0) < 1:
        raise ContractError(
            f"Expected generations that add up to {items.num_rows} items in the catalogue's metadata, "
            f"got {text.decode(errors='replace')}. Ingest the dataset again."
        )
    return lengths

"""What changed between two snapshots, and how a device catches up."""

from __future__ import annotations

import numpy as np

from recsys.contracts.embeddings import EmbeddingDelta, EmbeddingSnapshot
from recsys.errors import ContractError, VersionMismatchError


def diff(base: EmbeddingSnapshot, target: EmbeddingSnapshot) -> EmbeddingDelta:
    """Returns the smallest delta that leads from `base` to `target`.

    Raises:
      ContractError: If the vectors differ in length; then only a snapshot helps.
    """
    if base.dim != target.dim:
        raise ContractError(f"Expected snapshots of one dim, got {base.dim} and {target.dim}. Send the snapshot.")
    base_rows = {item_id: row for row, item_id in enumerate(base.item_ids)}
    changed = [
        row
        for row, item_id in enumerate(target.item_ids)
        if item_id not in base_rows or not _same_bits(base, base_rows[item_id], target, row)
    ]
    kept = set(target.item_ids)
    return EmbeddingDelta(
        base_version=base.version,
        version=target.version,
        item_ids=tuple(target.item_ids[row] for row in changed),
        vectors=target.vectors[changed].reshape(len(changed), target.dim),
        removed_ids=tuple(item_id for item_id in base.item_ids if item_id not in kept),
    )


def apply_delta(base: EmbeddingSnapshot, delta: EmbeddingDelta) -> EmbeddingSnapshot:
    """Returns the snapshot that the delta leads to; `base` stays as it is.

    Raises:
      VersionMismatchError: If the delta starts elsewhere, or does not arrive at the version it names.
    """
    if base.version != delta.base_version:
        raise VersionMismatchError(
            f"Expected a delta from version {base.version}, got one from {delta.base_version}. Ask for the snapshot."
        )
    rows = dict(zip(base.item_ids, base.vectors, strict=True))
    for item_id in delta.removed_ids:
        rows.pop(item_id, None)
    rows.update(zip(delta.item_ids, delta.vectors, strict=True))
    item_ids = tuple(sorted(rows))
    vectors = np.stack([rows[item_id] for item_id in item_ids]) if item_ids else np.zeros((0, base.dim), np.float32)
    result = EmbeddingSnapshot(item_ids, vectors)
    if result.version != delta.version:
        raise VersionMismatchError(
            f"Expected the delta to lead to version {delta.version}, got {result.version}. Ask for the snapshot."
        )
    return result


def _same_bits(base: EmbeddingSnapshot, base_row: int, target: EmbeddingSnapshot, row: int) -> bool:
    return base.vectors[base_row].tobytes() == target.vectors[row].tobytes()

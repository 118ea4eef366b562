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
    base_row = {item_id: row for row, item_id in enumerate(base.item_ids)}
    origin = np.fromiter((base_row.get(item_id, -1) for item_id in target.item_ids), np.int64, len(target.item_ids))
    common = np.flatnonzero(origin >= 0)
    changed = origin < 0
    # By bits, not by value: versions are hashes of bits, and 0.0 == -0.0.
    left, right = base.vectors[origin[common]].view(np.uint32), target.vectors[common].view(np.uint32)
    changed[common] = (left != right).any(axis=1)
    kept = set(target.item_ids)
    return EmbeddingDelta(
        base_version=base.version,
        version=target.version,
        item_ids=tuple(target.item_ids[row] for row in np.flatnonzero(changed)),
        vectors=target.vectors[changed],
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
    if base.dim != delta.vectors.shape[1]:
        raise VersionMismatchError(
            f"Expected a delta of vectors of length {base.dim}, got {delta.vectors.shape[1]}. Ask for the snapshot."
        )
    replaced = {*delta.item_ids, *delta.removed_ids}
    kept = np.fromiter((item_id not in replaced for item_id in base.item_ids), np.bool_, len(base.item_ids))
    item_ids = [*(base.item_ids[row] for row in np.flatnonzero(kept)), *delta.item_ids]
    order = sorted(range(len(item_ids)), key=item_ids.__getitem__)
    vectors = np.concatenate([base.vectors[kept], delta.vectors])[np.array(order, np.int64)]
    result = EmbeddingSnapshot(tuple(item_ids[row] for row in order), vectors)
    if result.version != delta.version:
        raise VersionMismatchError(
            f"Expected the delta to lead to version {delta.version}, got {result.version}. Ask for the snapshot."
        )
    return result

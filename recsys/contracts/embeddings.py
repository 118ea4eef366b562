"""Item vectors as they travel from the cloud to the devices: whole (snapshot) or as a change (delta)."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np

from recsys.contracts.arrays import Float32Array
from recsys.errors import ContractError


def embedding_version(item_ids: tuple[str, ...], vectors: Float32Array) -> str:
    """Names a set of vectors by its content, so that equal sets have equal versions on all sides.

    Args:
      item_ids: The ids, in the order of the rows.
      vectors: `[num_items, dim]` float32.
    """
    digest = hashlib.sha256()
    digest.update("\n".join(item_ids).encode())
    digest.update(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class EmbeddingSnapshot:
    """All vectors of one version.

    Law: ids are distinct and sorted; `vectors` is `[num_items, dim]` float32 and finite;
    `version` is `embedding_version` of both, so that equal content means an equal version.
    """

    item_ids: tuple[str, ...]
    vectors: Float32Array

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: If ids are not sorted and distinct, or the vectors have another shape or dtype.
        """
        _check_rows(self.item_ids, self.vectors)

    @property
    def version(self) -> str:
        """Content name of the snapshot."""
        return embedding_version(self.item_ids, self.vectors)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def __eq__(self, other: object) -> bool:
        """Equal ids and bit-equal vectors."""
        return (
            isinstance(other, EmbeddingSnapshot)
            and self.item_ids == other.item_ids
            and np.array_equal(self.vectors, other.vectors)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class EmbeddingDelta:
    """What leads from one version to the next: rows to set and ids to drop.

    Law: `apply_delta(a, diff(a, b)) == b`; ids to set and to drop are sorted, distinct and disjoint.
    """

    base_version: str
    version: str
    item_ids: tuple[str, ...]
    vectors: Float32Array
    removed_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: If ids are unsorted, repeated or both set and dropped, or the vectors have another shape.
        """
        _check_rows(self.item_ids, self.vectors)
        _check_sorted(self.removed_ids)
        both = set(self.item_ids) & set(self.removed_ids)
        if both:
            raise ContractError(f"Expected each id to be set or removed, got both for {sorted(both)[:3]}.")


def _check_rows(item_ids: tuple[str, ...], vectors: Float32Array) -> None:
    _check_sorted(item_ids)
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) != len(item_ids):
        raise ContractError(
            f"Expected `vectors` [{len(item_ids)}, dim] float32, got {list(vectors.shape)} {vectors.dtype}."
        )
    if not np.isfinite(vectors).all():
        raise ContractError("Expected finite `vectors`, got NaN or infinity.")


def _check_sorted(item_ids: tuple[str, ...]) -> None:
    for left, right in itertools.pairwise(item_ids):
        if left >= right:
            raise ContractError(f"Expected sorted, distinct `item_ids`, got {left!r} before {right!r}.")

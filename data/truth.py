"""The true relevance of a synthetic world: what an oracle knows and no model is told."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.errors import DatasetError

SHARPNESS = 18.0
"""How decisive taste is: the log-odds of a click grow by this much from a cosine of 0 to a cosine of 1."""

OFFSET = -9.0
"""Log-odds of a click on an item that has nothing to do with the person's taste."""


def blend_tastes(long_term: Float32Array, interest: Float32Array, drift: float) -> Float32Array:
    """Returns the taste of a session, `[..., taste_dim]` float32 of length 1.

    Args:
      long_term: `[..., taste_dim]` float32, what the person always likes.
      interest: `[..., taste_dim]` float32, what holds the person these days.
      drift: Share of the interest, from 0 to 1.
    """
    taste = (1.0 - drift) * long_term + drift * interest
    return (taste / np.maximum(np.linalg.norm(taste, axis=-1, keepdims=True), 1e-6)).astype(np.float32)


def click_probability(cosine: Float32Array, appeal: Float32Array) -> Float32Array:
    """Returns the probability of a click on an item that is examined, float32.

    Args:
      cosine: `[...]` float32, between the taste of the moment and the item's factors.
      appeal: `[...]` float32, log-odds that everybody grants the item.
    """
    return (1.0 / (1.0 + np.exp(-(SHARPNESS * cosine + appeal + OFFSET)))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Truth:
    """The parameters from which every response of the world was drawn.

    Attributes:
      item_ids: The whole catalogue, both surfaces, sorted.
      user_ids: Everybody, sorted.
      factors: `[num_items, taste_dim]` float32, of length 1.
      appeal: `[num_items]` float32.
      long_term: `[num_users, taste_dim]` float32, of length 1.
      centres: `[num_categories, taste_dim]` float32, of length 1.
      interests: `[num_users, num_sessions]` int32, the category that holds the person in each session.
      session_starts_ms: `[num_users, num_sessions]` int64, rising.
      drift: Share of the interest in the taste of a session.
    """

    item_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    factors: Float32Array
    appeal: Float32Array
    long_term: Float32Array
    centres: Float32Array
    interests: Int32Array
    session_starts_ms: Int64Array
    drift: float

    def relevance(self, user_id: str, timestamp_ms: int) -> Float32Array:
        """Returns the probability that the person clicks each item if it is examined now.

        Between sessions the taste is that of the session before; ahead of the first, that of the first.

        Args:
          user_id: One of `user_ids`.
          timestamp_ms: Any time.

        Returns:
          `[num_items]` float32, aligned with `item_ids`.

        Raises:
          DatasetError: If the world has no such person.
        """
        user = self._user_rows.get(user_id)
        if user is None:
            raise DatasetError(f"Expected a user of the synthetic world, got {user_id!r}. Was it made anew since?")
        session = max(int(np.searchsorted(self.session_starts_ms[user], timestamp_ms, side="right")) - 1, 0)
        interest = self.centres[self.interests[user, session]]
        taste = blend_tastes(self.long_term[user], interest, self.drift)
        return click_probability(self.factors @ taste, self.appeal)

    @cached_property
    def _user_rows(self) -> dict[str, int]:
        return {user_id: row for row, user_id in enumerate(self.user_ids)}

    def save(self, target: Path | BinaryIO) -> None:
        """Writes all arrays to an `.npz` file; nothing in it needs pickle."""
        np.savez(target, **{field.name: np.asarray(getattr(self, field.name)) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Reads what `save` wrote.

        Raises:
          DatasetError: If the file is absent (only a synthetic world has one), truncated or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {field.name: stored[field.name] for field in fields(cls)}
        except FileNotFoundError as error:
            raise DatasetError(
                f"Expected the truth of a synthetic world at {path}, got no such file. Only `synthetic` has one."
            ) from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DatasetError(
                f"Expected the truth of a synthetic world in {path}, got a broken file: {error}"
            ) from error
        return cls(
            **arrays
            | {"item_ids": _strings(arrays["item_ids"]), "user_ids": _strings(arrays["user_ids"])}
            | {"drift": float(arrays["drift"])}
        )


def _strings(array: npt.NDArray[np.str_]) -> tuple[str, ...]:
    return tuple(array.tolist())

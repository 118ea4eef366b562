"""Items and streamers: where they lie in taste space, how good and how popular they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.world.clock import DAY_MS, WORLD_START_MS
from recsys.config.data import WorldSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.contracts.schema import arrow_schema

CATEGORY_NAMES = (
    *("music", "dance", "comedy", "cooking", "travel", "football", "basketball", "fitness"),
    *("chess", "strategy games", "shooters", "retro games", "science", "history", "languages", "finance"),
    *("fashion", "beauty", "crafts", "gardening", "pets", "wildlife", "cars", "astronomy"),
)
"""Names of the first categories; further ones are numbered."""

_SPREAD = 0.7
"""How far items scatter around the centre of their category (length of the noise relative to the centre)."""

_SECOND_SHARE = 0.4
"""Share of the items that bear a second category."""


@dataclass(frozen=True, eq=False)
class WorldCatalogue:
    """Feed items first, then streamers, in the order of their ids.

    Attributes:
      item_ids: `num_items + num_streamers` ids, sorted.
      num_feed: How many of them belong to the feed.
      centres: `[num_categories, taste_dim]` float32, of length 1.
      factors: `[num_catalogue, taste_dim]` float32, of length 1.
      appeal: `[num_catalogue]` float32, log-odds that everybody grants the item.
      popularity: `[num_catalogue]` float32, logits of how much the logging policy pushes it.
      categories: `[num_catalogue, 2]` int32; the second is -1 where there is none.
    """

    item_ids: tuple[str, ...]
    num_feed: int
    centres: Float32Array
    factors: Float32Array
    appeal: Float32Array
    popularity: Float32Array
    categories: Int32Array


def build_catalogue(settings: WorldSettings, rng: np.random.Generator) -> WorldCatalogue:
    """Draws the catalogue of a world."""
    count = settings.num_items + settings.num_streamers
    centres = unit(rng.standard_normal((settings.num_categories, settings.taste_dim)))
    first = rng.integers(settings.num_categories, size=count)
    second = rng.integers(settings.num_categories, size=count)
    has_second = (rng.random(count) < _SECOND_SHARE) & (second != first)
    noise = _SPREAD * unit(rng.standard_normal((count, settings.taste_dim)))
    factors = unit(centres[first] + 0.5 * has_second[:, None] * centres[second] + noise)
    appeal = 0.6 * rng.standard_normal(count)
    # What is good is pushed more, but what is pushed is not only what is good: that is what makes popularity a
    # baseline worth beating and a bias worth knowing.
    popularity = 0.9 * appeal + 0.8 * rng.standard_normal(count)
    return WorldCatalogue(
        item_ids=(*_ids("i", settings.num_items), *_ids("s", settings.num_streamers)),
        num_feed=settings.num_items,
        centres=centres,
        factors=factors,
        appeal=appeal.astype(np.float32),
        popularity=popularity.astype(np.float32),
        categories=np.stack([first, np.where(has_second, second, -1)], axis=1).astype(np.int32),
    )


def items_table(catalogue: WorldCatalogue, rng: np.random.Generator) -> pa.Table:
    """Returns the catalogue as contract "item": titles for people, categories, creators and days of publication."""
    names = [category_name(index) for index in range(len(catalogue.centres))]
    labels = [[names[index] for index in pair if index >= 0] for pair in catalogue.categories.tolist()]
    is_feed = [row < catalogue.num_feed for row in range(len(catalogue.item_ids))]
    age_days = rng.integers(1, 365, size=len(catalogue.item_ids))
    num_creators = max(1, catalogue.num_feed // 8)
    creators = rng.integers(num_creators, size=len(catalogue.item_ids))
    return pa.Table.from_arrays(
        [
            pa.array(catalogue.item_ids, pa.string()),
            pa.array(["feed" if feed else "live" for feed in is_feed], pa.string()),
            pa.array(
                [
                    f"{label[0].capitalize()} {'clip' if feed else 'with'} {item_id}"
                    for label, feed, item_id in zip(labels, is_feed, catalogue.item_ids, strict=True)
                ],
                pa.string(),
            ),
            pa.array(labels, pa.list_(pa.string())),
            pa.array(
                [
                    f"c{creator}" if feed else item_id
                    for creator, feed, item_id in zip(creators.tolist(), is_feed, catalogue.item_ids, strict=True)
                ],
                pa.string(),
            ),
            pa.array(WORLD_START_MS - age_days * DAY_MS, pa.int64()),
        ],
        schema=arrow_schema("item"),
    )


def category_name(index: int) -> str:
    """Returns a name for people; distinct for distinct indexes."""
    return CATEGORY_NAMES[index] if index < len(CATEGORY_NAMES) else f"category {index + 1}"


def unit(vectors: npt.NDArray[np.floating[Any]]) -> Float32Array:
    """Returns `[..., dim]` vectors of length 1, float32."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)).astype(np.float32)


def _ids(prefix: str, count: int) -> list[str]:
    # Equal widths, so that the order of the ids is the order of the rows.
    width = len(str(count))
    return [f"{prefix}{number:0{width}d}" for number in range(1, count + 1)]

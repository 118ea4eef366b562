"""The bundle: everything a server or a device needs to serve one version, and the manifest that vouches for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from recsys.errors import BundleError

SCHEMA_VERSION: Final = 2

ITEMS_FILE: Final = "items.parquet"
ROOMS_FILE: Final = "rooms.parquet"
VOCABULARY_FILE: Final = "vocabulary.parquet"
RESPONSES_FILE: Final = "responses.parquet"
"""A bundle published before the ranker read responses lacks it."""
ITEM_TO_ITEM_FILE: Final = "item_to_item.parquet"
EMBEDDINGS_FILE: Final = "embeddings.parquet"
INDEX_FILE: Final = "index.faiss"
QUERY_TOWER_FILE: Final = "query_tower.tflite"
QUERY_TOWER_INT8_FILE: Final = "query_tower_int8.tflite"
ITEM_TOWER_FILE: Final = "item_tower.tflite"
RANKER_FILE: Final = "ranker.tflite"
DEVICE_TOWER_FILE: Final = "device_tower.tflite"
DEVICE_TOWER_INT8_FILE: Final = "device_tower_int8.tflite"
DEVICE_TRAINING_FILE: Final = "device_tower_training.tflite"
DEVICE_WEIGHTS_FILE: Final = "device_tower.npz"

DEVICE_FILES: Final = (
    QUERY_TOWER_FILE,
    QUERY_TOWER_INT8_FILE,
    DEVICE_TOWER_FILE,
    DEVICE_TOWER_INT8_FILE,
    DEVICE_TRAINING_FILE,
)
"""What a device downloads beside the vectors, of each tower one; all else stays on the server. Of the device towers the
last can be trained. A bundle that was published before there was one of them lacks it."""


@dataclass(frozen=True)
class FileEntry:
    """Size and checksum of one file of a bundle."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    Law: `Manifest.from_json(manifest.to_json()) == manifest`; `files` names every file of the bundle but the
    manifest and its signature; a bundle whose files differ from it in one byte is refused.

    Attributes:
      num_recent: candidates of a list that were chosen most of late, beside those nearest to the query vector.
    """

    version: str
    created_ms: int
    dataset: str
    split_fingerprint: str
    embedding_version: str
    dim: int
    history_length: int
    num_items: int
    files: Mapping[str, FileEntry]
    parent: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    num_recent: int = 0

    def to_json(self) -> str:
        """Canonical text: sorted keys, so that equal manifests have equal bytes (and signatures)."""
        return json.dumps(asdict(self), sort_keys=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads what `to_json` wrote.

        Raises:
          BundleError: If the text is not a manifest of this schema version.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            if raw["schema_version"] != SCHEMA_VERSION:
                raise BundleError(
                    f"Expected a manifest of schema version {SCHEMA_VERSION}, got {raw['schema_version']}. "
                    "Publish the bundle again with this version of Tandem."
                )
            raw["files"] = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
            return cls(**raw)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"Expected a bundle manifest, got text that is none: {error!r}.") from error

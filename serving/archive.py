"""Item vectors as messages: the served snapshot, and deltas from earlier bundles, made when they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from recsys.contracts.bundle import EMBEDDINGS_FILE, Manifest
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.errors import BundleError, ContractError, VersionMismatchError
from recsys.exchange.delta import diff
from recsys.exchange.message import Codec, encode_delta, encode_snapshot
from recsys.storage.registry import MANIFEST_FILE, BundleRegistry
from recsys.storage.snapshot import read_snapshot
from recsys.storage.workspace import Workspace
from serving.engine import Engine
from serving.observation import Metrics

MAX_MESSAGES: Final = 8
"""Messages kept: the snapshot in both codecs and the deltas that devices are asking for just now."""


class Archive:
    """Makes and keeps messages. One is made at a time, so that a crowd asking for the same one waits for it."""

    def __init__(self, workspace: Workspace, metrics: Metrics) -> None:
        """Opens nothing yet.

        Args:
          workspace: Where earlier bundles are found.
          metrics: Where to count what was there and what had to be made.
        """
        self._metrics = metrics
        self._workspace = workspace
        self._registry = BundleRegistry(workspace)
        self._messages: OrderedDict[tuple[str, str, Codec], bytes] = OrderedDict()
        self._embedding_versions: dict[str, str] = {}
        self._lock = threading.Lock()

    def snapshot(self, engine: Engine, codec: Codec) -> bytes:
        """Returns the message of the engine's item vectors.

        Raises:
          ContractError: If the codec cannot hold them exactly.
        """
        key = ("", engine.manifest.embedding_version, codec)
        return self._keep(key, lambda: encode_snapshot(engine.snapshot, codec))

    def delta(self, engine: Engine, base: str, codec: Codec) -> bytes:
        """Returns the message that leads from an earlier version of the item vectors to the engine's.

        Raises:
          VersionMismatchError: If no published bundle holds `base`, or no delta leads on from it.
          ContractError: If the codec cannot hold the vectors exactly.
        """
        return self._keep(
            (base, engine.manifest.embedding_version, codec), lambda: self._make_delta(engine, base, codec)
        )

    def _make_delta(self, engine: Engine, base: str, codec: Codec) -> bytes:
        start = self._open(base)
        if start.dim != engine.snapshot.dim:
            raise _unknown(base, f"vectors of length {start.dim}, while those of today have {engine.snapshot.dim}")
        return encode_delta(diff(start, engine.snapshot), codec)

    def _open(self, base: str) -> EmbeddingSnapshot:
        """Returns the earlier snapshot, out of a bundle whose every byte was checked."""
        for version in reversed(self._registry.versions()):
            if self._embedding_version(version) != base:
                continue
            try:
                return read_snapshot(self._registry.open(version).read_bytes(EMBEDDINGS_FILE))
            except (BundleError, ContractError, OSError):
                continue  # Altered or removed meanwhile: another bundle may hold the same vectors.
        raise _unknown(base, "a version that no published bundle holds")

    def _embedding_version(self, version: str) -> str:
        """Returns what a bundle's manifest says, unverified: only to find the bundle; empty where it is unreadable."""
        if version not in self._embedding_versions:
            path = self._workspace.bundles / version / MANIFEST_FILE
            try:
                found = Manifest.from_json(path.read_text(encoding="utf-8")).embedding_version
            except (OSError, ValueError, BundleError):
                found = ""
            self._embedding_versions[version] = found
        return self._embedding_versions[version]

    def _keep(self, key: tuple[str, str, Codec], make: Callable[[], bytes]) -> bytes:
        with self._lock:
            is_hit = key in self._messages
            self._metrics.record_lookup("archive", is_hit)
            if not is_hit:
                self._messages[key] = make()
                if len(self._messages) > MAX_MESSAGES:
                    self._messages.popitem(last=False)
            self._messages.move_to_end(key)
            return self._messages[key]


def _unknown(base: str, what: str) -> VersionMismatchError:
    return VersionMismatchError(
        f"Expected `base` to be a version that the served one can be reached from, got {base!r}, {what}. "
        "Take the snapshot: GET /v1/embeddings/snapshot."
    )

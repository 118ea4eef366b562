"""What items are called: titles and categories out of the served bundle."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow.parquet as pq

from recsys.contracts.bundle import ITEMS_FILE
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace
from serving.engine import Engine


@dataclass(frozen=True)
class ItemTitle:
    """One item as a person knows it."""

    item_id: str
    title: str
    surface: str
    categories: tuple[str, ...]


class Titles:
    """The titles of one bundle, read when they are first asked for, and anew with another bundle."""

    def __init__(self, workspace: Workspace) -> None:
        """Reads nothing yet.

        Args:
          workspace: Where bundles are published.
        """
        self._workspace = workspace
        self._lock = threading.Lock()
        self._version = ""
        self._titles: Mapping[str, ItemTitle] = {}

    def find(self, engine: Engine, item_ids: Iterable[str]) -> list[ItemTitle]:
        """Returns the items that the bundle knows, in the order asked for.

        Raises:
          BundleError: If the bundle's file was altered or removed since it was loaded.
        """
        with self._lock:
            if self._version != engine.manifest.version:
                self._titles = _read(Bundle(self._workspace.bundles / engine.manifest.version, engine.manifest))
                self._version = engine.manifest.version
            titles = self._titles
        return [titles[item_id] for item_id in item_ids if item_id in titles]


def _read(bundle: Bundle) -> dict[str, ItemTitle]:
    columns = ["item_id", "title", "surface", "categories"]
    rows = pq.ParquetFile(io.BytesIO(bundle.read_bytes(ITEMS_FILE))).read(columns).to_pylist()
    return {row["item_id"]: ItemTitle(**row | {"categories": tuple(row["categories"])}) for row in rows}

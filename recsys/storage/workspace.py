"""Where everything that runs produce lies.

events/*.parquet            the consented log: what the cloud may learn from; `served-*` came by the server
devices/shard-*.parquet     what the devices hold (simulation only): every event of a user, with its `part`
catalogue/{items,rooms,users}.parquet
dataset.json                what was ingested (`DatasetCard`)
appended.json               digests of the logs that were added since
truth.npz                   the true relevance, where the world is synthetic
examples/<hash>/, models/<hash>/    stages of `tandem train`, named by content
bundles/<version>/, current         published bundles and the pointer to the one in use
teacher/<version>.parquet   the ranker's opinion of candidates of the consented log (`recsys.contracts.teacher`)
federated/<run>/            state, metrics and learning curves of rounds
reports/                    results as JSON and HTML
reports/curves/<hash>/      learning curves of the training stage of that name, for TensorBoard
state/                      the server's own state (sessions, events that no training has taken yet)
keys/                       the signing key of the publisher and its public half
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from recsys.errors import WorkspaceError

TRAIN_LOCK: Final = ".train.lock"
"""Held by whoever changes the dataset or makes stages of it."""

APPEND_FOLDER: Final = "append.ready"
"""Written whole by an append, and waiting to be moved into place: while it is there, the dataset is a mixture."""

INGEST_FOLDER: Final = "ingest.divided"
"""Written by an ingest, whole but for the devices' shards; it goes when these are there and all is in its place."""

PARTIAL_INGEST_FOLDER: Final = "ingest.partial"
"""Being written by an ingest, or left by one that was cut off."""

PARTIAL_APPEND_FOLDER: Final = "append.partial"
"""Being written by an append, or left by one that was cut off."""

PARTIAL_STAGE_SUFFIX: Final = ".partial"
"""Ends the name of a stage that is being made, or that a killed training left: the next one makes it from its start."""

SESSIONS_FILE: Final = "sessions.sqlite"
"""The embedded session store, in the folder `state`."""

PARTS: Final = ("consented", "private", "heldout")
"""Values of the column `part` in device shards, in the order of time."""


@dataclass(frozen=True)
class DatasetCard:
    """What a workspace holds and how it was divided."""

    name: str
    num_users: int
    num_items: int
    num_events: int
    num_consented: int
    num_private: int
    num_heldout: int
    split: str
    split_fingerprint: str
    seed: int


@dataclass(frozen=True)
class Workspace:
    """Paths under one root."""

    root: Path

    @property
    def events(self) -> Path:
        """The consented log."""
        return self.root / "events"

    @property
    def devices(self) -> Path:
        """Device shards (simulation only)."""
        return self.root / "devices"

    @property
    def items(self) -> Path:
        """The catalogue."""
        return self.root / "catalogue" / "items.parquet"

    @property
    def rooms(self) -> Path:
        """Live rooms."""
        return self.root / "catalogue" / "rooms.parquet"

    @property
    def users(self) -> Path:
        """Device tiers."""
        return self.root / "catalogue" / "users.parquet"

    @property
    def truth(self) -> Path:
        """True relevance of a synthetic world."""
        return self.root / "truth.npz"

    @property
    def examples(self) -> Path:
        """Prepared examples, one folder per content hash."""
        return self.root / "examples"

    @property
    def models(self) -> Path:
        """Trained models, one folder per content hash."""
        return self.root / "models"

    @property
    def bundles(self) -> Path:
        """Published bundles."""
        return self.root / "bundles"

    @property
    def current(self) -> Path:
        """The pointer to the bundle in use: a small text file that holds its version."""
        return self.root / "current"

    def teacher(self, version: str) -> Path:
        """What devices may distil from the ranker of a bundle."""
        return self.root / "teacher" / f"{version}.parquet"

    @property
    def federated(self) -> Path:
        """Federated runs."""
        return self.root / "federated"

    @property
    def reports(self) -> Path:
        """Results."""
        return self.root / "reports"

    @property
    def curves(self) -> Path:
        """Learning curves of training, for TensorBoard."""
        return self.reports / "curves"

    @property
    def state(self) -> Path:
        """State of the server."""
        return self.root / "state"

    @property
    def keys(self) -> Path:
        """Signing keys."""
        return self.root / "keys"

    def read_card(self) -> DatasetCard:
        """Returns what was ingested.

        Raises:
          WorkspaceError: If nothing was, the card is unreadable, or an append was cut off.
        """
        path = self.root / "dataset.json"
        if (self.root / APPEND_FOLDER).exists():
            raise WorkspaceError(
                f"Expected a whole dataset in the workspace {self.root}, got one to which events are being added, or "
                "were when the process was cut off. Run the same `tandem ingest --append` again."
            )
        try:
            return DatasetCard(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"Expected a dataset in the workspace {self.root}, got none. "
                f"Run `tandem ingest --workspace {self.root}`."
            ) from error
        except (ValueError, TypeError) as error:
            raise WorkspaceError(f"Expected a dataset card in {path}, got unreadable text: {error}.") from error

    def write_card(self, card: DatasetCard) -> None:
        """Writes the card last, so that its presence means a complete ingest."""
        path = self.root / "dataset.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(card), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(path)

"""Hands the consented histories to the server, for people whose device sends only their id."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from pipelines.histories import read_histories
from pipelines.prepare.layout import VOCABULARY
from recsys.config.serving import ServingSettings
from recsys.features.catalogue import Catalogue
from recsys.storage.atomic import remove_partials, write_file
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.workspace import SESSIONS_FILE, Workspace

SOURCE_FILE: Final = "sessions.source"
"""Which prepared examples the store was filled from: filling it again would undo what the server appended since."""


def fill_sessions(workspace: Workspace, examples_dir: Path) -> int:
    """Sets each user's recent positives in the server's store, unless it was filled from these examples before.

    The caller holds the workspace's `TRAIN_LOCK`.

    Returns:
      How many users were set.

    Raises:
      WorkspaceError: If the store cannot be written.
    """
    source = workspace.state / SOURCE_FILE
    remove_partials(source)
    if (workspace.state / SESSIONS_FILE).exists() and source.exists() and source.read_text() == examples_dir.name:
        return 0
    settings = ServingSettings()
    length = settings.session_length
    catalogue = Catalogue.from_vocabulary(pq.read_table(examples_dir / VOCABULARY))
    store = SQLiteSessionStore(workspace.state / SESSIONS_FILE, length, settings.session_ttl_s)
    num_users = 0
    try:
        for part in read_histories(examples_dir):
            store.replace({user_id: catalogue.ids_of(items[-length:]) for user_id, items in part.items()})
            num_users += len(part)
    finally:
        store.close()
    write_file(source, examples_dir.name.encode())
    return num_users

"""A forgotten person is in no file of a workspace in which everything was made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from data.forgetting import forget
from data.truth import Truth
from pipelines.job import train
from recsys.progress import Silent
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace
from tests.naming import strings_in
from tests.pipelines.conftest import TINY_CLOUD


def test_a_forgotten_person_is_in_no_file_and_the_next_training_does_without(
    tiny_workspace: Workspace, trained: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(tiny_workspace.root, tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")
    (user_id, *_) = pq.read_table(workspace.teacher(trained.manifest.version)).column("user_id").to_pylist()
    named = {path.relative_to(workspace.root).parts[0] for path in files_naming(workspace, user_id)}
    assert {"events", "examples", "models", "teacher", "state"} <= named, "the search finds what there is"
    forget(workspace, user_id)
    assert list(files_naming(workspace, user_id)) == []
    bundle = train(workspace, TINY_CLOUD, 7, Silent())
    assert bundle.manifest.version != trained.manifest.version
    assert list(files_naming(workspace, user_id)) == []


def test_somebody_unknown_changes_nothing(tiny_workspace: Workspace, trained: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_workspace.root, tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")
    before = {path: path.read_bytes() for path in workspace.root.rglob("*.parquet")}
    forget(workspace, "nobody-at-all")
    assert {path: path.read_bytes() for path in workspace.root.rglob("*.parquet")} == before


def files_naming(workspace: Workspace, user_id: str) -> Iterator[Path]:
    """Yields the files in which the id stands, looked at the way each kind is read: ids of this world are short."""
    for path in sorted(path for path in workspace.root.rglob("*") if path.is_file()):
        if user_id in strings_of(path):
            yield path


def strings_of(path: Path) -> set[str] | str:
    if path.suffix == ".npz" and "user_ids" in np.load(path, allow_pickle=False):
        return set(Truth.load(path).user_ids)
    if path.suffix in (".json", ".jsonl", ".toml", ".html", ".log", ""):
        return path.read_bytes().decode("latin-1")
    return set(strings_in(path))

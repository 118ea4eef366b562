"""Quality per user and per device tier, read from the reports of `tandem evaluate`: means and counts over people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recsys.storage.workspace import Workspace

_PATTERN: Final = "evaluate-*.json"

_PARTS: Final = (
    "dataset",
    "split",
    "bundle_version",
    "seed",
    "num_users",
    "num_events",
    "arms",
    "differences",
    "tiers",
    "surfaces",
    "share_harmed",
    "distributions",
)
"""What is shown of a report; anything that it may hold beside these stays where it is."""


def read_reports(workspace: Workspace, count: int) -> list[dict[str, Any]]:
    """Returns the latest `count` readable reports, the latest first, each with its file's name and time."""
    files = [path for path in workspace.reports.glob(_PATTERN) if path.is_file()]
    files.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    reports = (_read(path) for path in files[:count])
    return [report for report in reports if report is not None]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        written_ms = path.stat().st_mtime_ns // 1_000_000
    except (OSError, ValueError):
        return None
    if not isinstance(found, Mapping) or not isinstance(found.get("arms"), Mapping):
        return None
    return {"name": path.name, "written_ms": written_ms, **{part: found[part] for part in _PARTS if part in found}}

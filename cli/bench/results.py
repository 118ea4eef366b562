"""What the commands share: how a result is written, and how an interval is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.comparison import Comparison
    from recsys.storage.workspace import Workspace


def write_result(workspace: Workspace, name: str, result: Mapping[str, Any]) -> Path:
    """Writes a result into the workspace's reports; returns where it lies."""
    from recsys.storage.atomic import write_file

    path = workspace.reports / f"bench-{name}.json"
    write_file(path, (json.dumps(result, indent=1, sort_keys=True) + "\n").encode())
    return path


def report_comparison(comparison: Comparison, workspace: Workspace) -> dict[str, Any]:
    """Writes the figures and the page into the workspace; returns the figures with the paths of both."""
    from cli.report.comparison import write_comparison

    json_path, html_path = write_comparison(comparison, workspace.reports)
    return {**comparison.to_json(), "report_json": str(json_path), "report_html": str(html_path)}


def format_interval(interval: Mapping[str, float], sign: str = "") -> str:
    """Returns `0.1234  0.1200 … 0.1268`."""
    return f"{interval['mean']:{sign}.4f}  {interval['low']:{sign}.4f} … {interval['high']:{sign}.4f}"

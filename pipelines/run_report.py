"""What a run of the job leaves to read: `reports/train-<version>.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.prepare.layout import REPORT
from pipelines.stages import Stage
from recsys.storage.atomic import remove_partials, write_file
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace


def write_report(workspace: Workspace, bundle: Bundle, stages: Sequence[Stage], facts: Mapping[str, Any]) -> None:
    """Writes what was published, which stages it took, and what else is known of the run.

    The caller holds the workspace's `TRAIN_LOCK`.

    Raises:
      WorkspaceError: If the disk is full or refuses.
    """
    manifest = bundle.manifest
    report = {
        "version": manifest.version,
        "dataset": manifest.dataset,
        "split_fingerprint": manifest.split_fingerprint,
        "stages": [
            {
                "name": stage.name,
                "key": stage.key,
                "reused": stage.reused,
                "seconds": stage.seconds,
                "steps": read_steps(stage),
            }
            for stage in stages
        ],
        **facts,
    }
    path = workspace.reports / f"train-{manifest.version}.json"
    remove_partials(path)
    write_file(path, (json.dumps(report, indent=1, sort_keys=True) + "\n").encode())


def say_stage(stage: Stage, figures: str = "") -> list[str]:
    """Returns a line on a stage, and one on each of its steps."""
    state = "unchanged, made earlier" if stage.reused else "done"
    lines = [f"{stage.name}: {state} in {stage.seconds:.1f} s" + (f"; {figures}" if figures else "")]
    for label, step in read_steps(stage).items():
        lines.append(f"  {label}: {step['rows']} rows in {step['calls']} calls, {step['busy_seconds']:.2f} s")
    return lines


def read_steps(stage: Stage) -> dict[str, dict[str, float]]:
    """Returns counters and timings of a stage's steps; none where the stage is no Beam pipeline."""
    path = stage.folder / REPORT
    return json.loads(path.read_text(encoding="utf-8")).get("steps", {}) if path.is_file() else {}

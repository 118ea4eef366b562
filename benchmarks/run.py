"""One arm under one protocol: fitted, judged and kept, so that a rerun takes it as it is.

What is kept is named by all that it depends on: the task, the settings, the seed, and the code of the model. A finished
arm survives a kill; Tandem's training resumes at the stage that it was in.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.arms import ARMS, RANKER
from benchmarks.evaluation import Score, rank_targets
from benchmarks.task import Task
from pipelines.stages import run_stage
from recsys.config.cloud import CloudSettings
from recsys.contracts.arrays import Int32Array
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

_VERSION: Final = 1
_RANKS, _FACTS = "ranks.npy", "facts.json"
_ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, eq=False)
class ArmRun:
    """An arm with one seed.

    Attributes:
      ranks: `[num_targets]` int32 (see `benchmarks.evaluation.rank_targets`).
      fit_seconds: How long learning took when it was done.
      score_seconds: How long all requests took.
      facts: What else is worth keeping, such as the bundle.
    """

    ranks: Int32Array
    fit_seconds: float
    score_seconds: float
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Bench:
    """Runs arms of one task.

    Attributes:
      task: What is asked.
      folder: Where finished arms and Tandem's own workspace lie.
      settings: Of Tandem's pipelines.
      progress: A listener.
    """

    task: Task
    folder: Path
    settings: CloudSettings
    progress: Progress

    def run(self, name: str, seed: int) -> ArmRun:
        """Returns the arm, from an earlier run if there is one.

        Raises:
          TandemError: As Tandem's pipelines raise it.
        """
        make = ARMS[name].build
        if make is None:
            return self._run_tandem(name, seed)
        inputs = {
            "task": self.task.fingerprint,
            "settings": asdict(self.task.settings),
            "seed": seed,
            "code": hash_code("benchmarks"),
        }

        def build(folder: Path) -> None:
            begin = time.perf_counter()
            model = make(self.task.settings)
            model.fit(self.task.log, seed)
            self._judge(model.score, folder, time.perf_counter() - begin, {})

        return self._keep(name, inputs, build)

    def _run_tandem(self, name: str, seed: int) -> ArmRun:
        from benchmarks.tandem import TandemModel, train_bundle
        from recsys.cascade.cloud import CloudModel

        workspace = Workspace(self.folder / f"tandem-{self.task.split.fingerprint}")
        bundle, seconds = train_bundle(self.task, workspace, self.settings, seed, self.progress)
        manifest = bundle.manifest

        def build(folder: Path) -> None:
            model = TandemModel(CloudModel.load(bundle), self.task, with_ranker=name == RANKER)
            facts = {"bundle_version": manifest.version, "metrics": dict(manifest.metrics)}
            self._judge(model.score, folder, seconds, facts)

        files = {file: entry.sha256 for file, entry in manifest.files.items()}
        inputs = {"task": self.task.fingerprint, "files": files, "code": hash_code("benchmarks", "recsys")}
        return self._keep(name, inputs, build)

    def _judge(self, score: Score, folder: Path, fit_seconds: float, facts: Mapping[str, Any]) -> None:
        begin = time.perf_counter()
        ranks = rank_targets(score, self.task.log, self.task.requests)
        times = {"fit_seconds": round(fit_seconds, 3), "score_seconds": round(time.perf_counter() - begin, 3)}
        np.save(folder / _RANKS, ranks, allow_pickle=False)
        (folder / _FACTS).write_text(json.dumps({**times, "facts": facts}, indent=1) + "\n", encoding="utf-8")

    def _keep(self, name: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> ArmRun:
        stage = run_stage(self.folder / "arms", name, _VERSION, inputs, build)
        held = json.loads((stage.folder / _FACTS).read_text(encoding="utf-8"))
        state = "kept from an earlier run" if stage.reused else "done"
        self.progress.note(f"{name}: {state}, {held['fit_seconds']:.1f} s to fit, {held['score_seconds']:.1f} s to ask")
        return ArmRun(np.load(stage.folder / _RANKS, allow_pickle=False), **held)


def hash_code(*rooms: str) -> str:
    """Returns 16 hexadecimal digits of the source of some rooms: other code is another model."""
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted((_ROOT / room).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

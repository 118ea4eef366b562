"""The cloud's training job, from the consented log to a published bundle.

prepare → statistics → recount → retrieval → ranker → device → embed → teacher → index → publish. Beam and TensorFlow
are imported where a stage that needs them runs: a rerun with nothing to do imports neither.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from data.inbox import settled
from pipelines.ancestor import Ancestor, say_delta
from pipelines.cloud_stages import CloudStages, examples_of
from pipelines.prepare.layout import REPORT, VOCABULARY
from pipelines.publish import StageFolders, publish
from pipelines.run_report import say_stage, write_report
from pipelines.sessions import fill_sessions
from pipelines.stages import Stage
from pipelines.teaching import Schooled, hand_over
from recsys.config.cloud import CloudSettings
from recsys.config.federated import DeviceSettings
from recsys.errors import TrainingError
from recsys.progress import Progress
from recsys.storage.lock import hold_lock
from recsys.storage.registry import Bundle
from recsys.storage.workspace import TRAIN_LOCK, Workspace

_OWNERS = {
    "prepare": "examples",
    "recount": "serving",
    "retrieval": "retrieval",
    "ranker": "ranker",
    "device": "device",
    "embed": "embeddings",
    "teacher": "teacher",
    "index": "index",
}
"""Stage to what `StageFolders` calls it; the others leave nothing to the bundle."""

_METRICS = "metrics.json"


def train(
    workspace: Workspace,
    settings: CloudSettings,
    seed: int,
    progress: Progress,
    device: DeviceSettings | None = None,
    beam_flags: Sequence[str] = (),
    fine_tune: bool = False,
) -> Bundle:
    """Trains on the consented log of a workspace, with what the server received since, and publishes a bundle.

    A second run does only what changed; a killed run is taken up at the stage that it was in, training after the last
    epoch that it had finished. Runs on one workspace wait for each other.

    Args:
      workspace: Holds an ingested dataset.
      settings: Of all stages.
      seed: Of training. Equal data, settings and seed give an equal bundle, unless the clock
        (`retrieval.max_seconds`) stopped the training.
      progress: A listener.
      device: Shape of the device tower that the bundle starts with; the defaults where it is None.
      beam_flags: Beam's own flags, such as `--job_name=monday`, behind those of `settings.runner`.
      fine_tune: Whether to go on from the models of the current bundle, for a few epochs at a lower rate. Its device
        tower is kept as the rounds left it. Where nothing was added to the log since, that bundle is returned.

    Raises:
      WorkspaceError: If there is no dataset, no bundle to fine-tune, or the disk is full.
      BundleError: If the models to fine-tune were trained with other sizes.
      ConfigError: If `settings.runner` names a cluster that does not answer, or lacks something that it needs.
      DatasetError: If a file of the dataset is broken.
      TrainingError: If there is nothing to learn from, the loss diverges, or the index is worse than its floor; then
        nothing is published.
    """
    workspace.read_card()
    with hold_lock(workspace.root / TRAIN_LOCK), settled(workspace, progress):
        base = Ancestor.current(workspace) if fine_tune else None
        settings = settings.for_fine_tuning() if base else settings
        device = device or DeviceSettings()
        return _run(CloudStages(workspace, settings, seed, progress, device, tuple(beam_flags), base))


def _run(stages: CloudStages) -> Bundle:
    """Runs all stages, publishes, and writes the run's report."""
    begin = time.perf_counter()
    base, progress = stages.base, stages.progress
    prepared = stages.prepare()
    counters = json.loads((prepared.folder / REPORT).read_text(encoding="utf-8"))
    _tell(progress, prepared, f"{counters['accepted']} of {counters['rows_in']} rows accepted")
    if not counters["train"]:
        raise TrainingError(
            f"Expected events to learn from in {stages.workspace.events}, got none that is lawful: see the reasons "
            f"in {prepared.folder / REPORT}."
        )
    if base is not None:
        base.check_vocabulary(prepared.folder / VOCABULARY)
        if examples_of(prepared) in base.examples:
            progress.note(f"Nothing new since bundle {base.bundle.manifest.version}: nothing to do.")
            fill_sessions(stages.workspace, prepared.folder)  # the run that published it may have ended before
            return base.bundle
    made = [prepared, *_make_models(stages, prepared)]
    metrics = {name: value for stage in made for name, value in _read_metrics(stage).items()}
    return _publish(stages, made, {"counters": counters, "metrics": metrics}, begin)


def _make_models(stages: CloudStages, prepared: Stage) -> Iterator[Stage]:
    """Makes what a bundle holds, out of the examples; each stage is told of when it is there."""

    def told(stage: Stage) -> Stage:
        _tell(stages.progress, stage)
        return stage

    yield (counted := told(stages.count(prepared)))
    yield (recounted := told(stages.recount(prepared)))
    yield (retrieved := told(stages.retrieve(prepared)))
    yield (ranked := told(stages.rank(prepared, counted, retrieved)))
    yield told(stages.shape_device())
    yield (embedded := told(stages.embed(prepared, retrieved)))
    yield told(stages.teach(Schooled(prepared, recounted, retrieved, ranked, embedded)))
    yield told(stages.index(prepared, retrieved, embedded))


def _publish(stages: CloudStages, made: Sequence[Stage], facts: dict[str, Any], begin: float) -> Bundle:
    base, workspace = stages.base, stages.workspace
    stages.progress.stage("publishing the bundle")
    folders = StageFolders(**{_OWNERS[stage.name]: stage.folder for stage in made if stage.name in _OWNERS})
    parent = base.bundle.manifest.version if base else None
    bundle = publish(workspace, folders, stages.settings, facts["metrics"], parent)
    hand_over(workspace, folders.teacher, bundle.manifest.version)
    fill_sessions(workspace, folders.examples)
    facts |= {"seed": stages.seed, "settings": stages.settings.model_dump(mode="json")}
    facts["seconds"] = round(time.perf_counter() - begin, 3)
    if base is not None:
        facts["delta"] = base.describe_delta(bundle)
        stages.progress.note(say_delta(facts["delta"]))
    write_report(workspace, bundle, made, facts)
    return bundle


def _tell(progress: Progress, stage: Stage, figures: str = "") -> None:
    for line in say_stage(stage, figures):
        progress.note(line)


def _read_metrics(stage: Stage) -> dict[str, float]:
    path = stage.folder / _METRICS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

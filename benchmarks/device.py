"""What the device tower costs a device: bytes, milliseconds of a list of 100, milliseconds of a local epoch.

All by LiteRT on one thread, on lists and local examples of real people of the workspace; no TensorFlow in the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np

from federated.device.examples import Choice, LocalExamples
from federated.device.training import LocalTrainer
from federated.simulation.choices import ChoiceMaker
from federated.simulation.clients import NUM_CANDIDATES, Clients
from federated.simulation.population import Population
from recsys.cascade.cloud import CloudModel
from recsys.cascade.rerank import Reranker
from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array
from recsys.contracts.bundle import DEVICE_TOWER_FILE, DEVICE_TOWER_INT8_FILE, DEVICE_TRAINING_FILE
from recsys.errors import WorkspaceError
from recsys.metrics.ranking import ndcg_at, rank_of
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

TOWERS: Final = {
    "float": (DEVICE_TOWER_FILE, "rerank"),
    "int8": (DEVICE_TOWER_INT8_FILE, "rerank"),
    "trainable": (DEVICE_TRAINING_FILE, "infer"),
}
"""Tower to its file and the signature by which that scores."""

TIMED_LISTS: Final = 500
TIMED_EPOCHS: Final = 50
_BYTES_PER_WEIGHT: Final = 4


def bench_device(
    workspace: Workspace, *, seed: int, progress: Progress, max_users: int = 200, version: str | None = None
) -> dict[str, Any]:
    """Returns sizes and times of a bundle's device tower, JSON-ready.

    Args:
      workspace: With device logs and a bundle.
      seed: Of the draw of people, and of the candidates in their examples.
      progress: Told after each step.
      max_users: People whose last private choice makes a list, and whose log makes examples.
      version: Of the bundle; the current one where it is None.

    Returns:
      `towers.<name>`: `size_bytes`, `median_ms` and `p95_ms` of a list of 100 candidates, `ndcg_at_10` of the choices;
      `int8_error`: how far its scores lie from the float ones at most, in standard deviations of the list;
      `training`: `update_bytes`, and of an epoch of `num_examples` examples `median_ms` and `p95_ms`; `step_ms`.

    Raises:
      WorkspaceError: If there is no dataset or bundle, or nobody with a private choice out of a list of 100.
      BundleError: If the bundle has no int8 tower or none that can be trained (an earlier version published it).
    """
    registry = BundleRegistry(workspace)
    bundle = registry.open(version) if version else registry.current()
    cloud = CloudModel.load(bundle)
    population = Population(workspace, cloud.catalogue)
    user_ids = population.in_shard_order(population.sample(max_users, seed))
    progress.stage("asking the cloud for lists")
    choices = _last_choices(cloud, population, user_ids)
    progress.stage("re-ranking")
    rerankers = {name: Reranker(bundle.read_bytes(file), signature) for name, (file, signature) in TOWERS.items()}
    towers, int8_error = _rerank(rerankers, choices, cloud.vectors)
    for name, (file, _) in TOWERS.items():
        towers[name]["size_bytes"] = bundle.manifest.files[file].size_bytes
    progress.stage("training")
    trainer = LocalTrainer(bundle.read_bytes(DEVICE_TRAINING_FILE))
    sizes = {"num_candidates": trainer.num_candidates, "history_length": rerankers["float"].history_length}
    settings = DeviceSettings().model_copy(update=sizes)
    clients = Clients(cloud, population, settings, seed)
    training = _train(trainer, clients.examples(user_ids), cloud.vectors, settings)
    manifest = bundle.manifest
    return {
        "bundle_version": manifest.version,
        "dataset": manifest.dataset,
        "seed": seed,
        "num_lists": len(choices),
        "towers": towers,
        "int8_error": int8_error,
        "training": training,
    }


def _last_choices(cloud: CloudModel, population: Population, user_ids: Sequence[str]) -> list[Choice]:
    """Each person's last private choice before the list that answers their query vector, where that is a full one."""
    choices = []
    for log in population.logs(user_ids):
        maker = ChoiceMaker(cloud, log, 2 * NUM_CANDIDATES)
        for row in maker.private_rows[-1:]:
            choice = maker.choice(row, fresh=True)
            if len(choice.candidates) >= NUM_CANDIDATES:
                choices.append(_cut(choice))
    if not choices:
        raise WorkspaceError(
            f"Expected people with a private choice and lists of {NUM_CANDIDATES}, got none. "
            "Ingest a dataset with longer histories and more items."
        )
    return choices


def _cut(choice: Choice) -> Choice:
    kept = slice(0, NUM_CANDIDATES)
    return Choice(choice.item_index, choice.candidates[kept], choice.cloud_scores[kept], choice.query, choice.history)


def _rerank(
    rerankers: dict[str, Reranker], choices: Sequence[Choice], vectors: Float32Array
) -> tuple[dict[str, dict[str, float]], float]:
    """The towers take turns, so that a busy moment hits all."""
    seconds: dict[str, list[float]] = {name: [] for name in rerankers}
    ranks: dict[str, list[int]] = {name: [] for name in rerankers}
    error = 0.0
    for place in range(max(len(choices), TIMED_LISTS)):
        choice = choices[place % len(choices)]
        scores = {}
        for name, reranker in rerankers.items():
            recent = vectors[choice.history[-reranker.history_length :]]
            given = (vectors[choice.candidates], choice.cloud_scores, choice.query, recent)
            scores[name], taken = _time(lambda call=reranker.rerank, given=given: call(*given))
            seconds[name].append(taken)
        if place < len(choices):
            error = max(error, float(np.abs(scores["int8"] - scores["float"]).max() / scores["float"].std()))
            for name, values in scores.items():
                order = np.lexsort((choice.candidates, -values))
                ranks[name].append(rank_of(choice.item_index, choice.candidates[order]))
    towers = {
        name: {**_spread(taken), "ndcg_at_10": float(ndcg_at(np.asarray(ranks[name], np.int32), 10).mean())}
        for name, taken in seconds.items()
    }
    return towers, error


def _train(
    trainer: LocalTrainer, examples: Sequence[LocalExamples], vectors: Float32Array, settings: DeviceSettings
) -> dict[str, float]:
    """Times an epoch of the people who have most examples."""
    busiest = sorted(examples, key=len, reverse=True)[: max(1, len(examples) // 10)]
    if not busiest:
        raise WorkspaceError(
            "Expected people with a private choice that was in its list, got none. Train the cloud first."
        )
    seconds, steps = [], []
    for client in islice((client for _ in range(TIMED_EPOCHS) for client in busiest), TIMED_EPOCHS):
        _, taken = _time(lambda client=client: trainer.train(client, vectors, settings.learning_rate, 1))
        seconds.append(taken)
        steps.append(-(-len(client) // trainer.batch_size))
    return {
        "num_weights": len(trainer.start),
        "update_bytes": _BYTES_PER_WEIGHT * len(trainer.start),
        "batch_size": trainer.batch_size,
        "num_candidates": trainer.num_candidates,
        "num_examples": float(np.mean([len(client) for client in busiest])),
        "step_ms": 1e3 * float(np.median(np.asarray(seconds) / steps)),
        **_spread(seconds),
    }


def _time(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"median_ms": 1e3 * float(np.median(seconds)), "p95_ms": 1e3 * float(np.quantile(seconds, 0.95))}

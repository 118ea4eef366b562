"""The training stage: prepared examples in, exported towers and weights out."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.training.examples import Sequences, read_catalogue, read_sequences
from pipelines.training.fitting import FitReport
from pipelines.training.quantisation import export_query_towers
from pipelines.training.ranker_stage import RankerReport, build_lists, fit_ranker
from pipelines.training.requests import Requests, first_requests, ndcg_at_10, validation_requests
from pipelines.training.retrieval_stage import Encoder, build_retrieval, fit_retrieval
from pipelines.training.trail import Trail
from recsys.config import CloudSettings, DeviceSettings
from recsys.contracts import bundle as names
from recsys.features.catalogue import Catalogue
from recsys.models.device_tower import build_device_tower
from recsys.models.export import export_device_tower, export_item_tower, export_ranker
from recsys.models.ranker import Ranker
from recsys.models.retrieval import RetrievalModel
from recsys.models.weights import encode_weights
from recsys.progress import Progress

METRICS_FILE = "metrics.json"
RETRIEVAL_WEIGHTS_FILE = "retrieval.npz"
RANKER_WEIGHTS_FILE = "ranker.npz"


def train_models(
    examples_dir: Path,
    output_dir: Path,
    settings: CloudSettings,
    device: DeviceSettings,
    seed: int,
    progress: Progress,
    trail: Trail | None = None,
) -> dict[str, float]:
    """Fits retrieval and ranker and writes everything that a bundle needs of them.

    Written into `output_dir`: the towers (`recsys.contracts.bundle`), the weights of a freshly initialised
    device tower, the weights of both cloud models, and the returned metrics as JSON, last.

    Args:
      examples_dir: What the prepare stage wrote.
      output_dir: Made if absent.
      settings: Sizes and limits of both models.
      device: Sizes of the device tower.
      seed: Equal seeds, settings and examples give equal weights, unless the clock stopped the training.
      progress: Told each epoch.
      trail: Where both fits keep checkpoints and learning curves; what an earlier run left there is taken up.

    Raises:
      TrainingError: If there are too few examples, or the loss diverges.
      ContractError: If the vocabulary is none.
    """
    started = time.monotonic()
    sequences, catalogue = read_sequences(examples_dir), read_catalogue(examples_dir)
    retrieval = build_retrieval(catalogue, settings.retrieval, seed)
    retrieval_trail, ranker_trail = (trail.of("retrieval"), trail.of("ranker")) if trail else (None, None)
    retrieval_fit = fit_retrieval(retrieval, sequences, catalogue, settings.retrieval, seed, progress, retrieval_trail)
    requests = validation_requests(sequences)
    metrics = _retrieval_metrics(retrieval_fit, retrieval, requests, sequences, catalogue)

    progress.stage("retrieving candidates for the ranker")
    asked = _sample(requests, settings.ranker.max_examples, seed)
    lists, vectors = build_lists(asked, sequences, retrieval, catalogue, settings.ranker.num_candidates)
    tf.keras.utils.set_random_seed(seed)  # the same initial weights, whether retrieval was fitted now or earlier
    ranker = Ranker(settings.retrieval.dim, settings.ranker)
    metrics |= _ranker_metrics(fit_ranker(ranker, lists, vectors, settings.ranker, seed, progress, ranker_trail))

    progress.stage("exporting towers")
    query_towers, metrics["query_tower_int8_error"] = export_query_towers(retrieval, sequences, catalogue)
    metrics["seconds"] = time.monotonic() - started
    _write(output_dir, query_towers, retrieval, ranker, device, seed, metrics)
    return metrics


def _sample(requests: Requests, count: int, seed: int) -> Requests:
    """At most `count` requests, drawn by the seed, in their order."""
    if len(requests) <= count:
        return requests
    return requests.take(np.sort(np.random.default_rng(seed).choice(len(requests), count, replace=False)))


def _retrieval_metrics(
    report: FitReport, model: RetrievalModel, requests: Requests, sequences: Sequences, catalogue: Catalogue
) -> dict[str, float]:
    """The next item of every user, ranked in the whole catalogue."""
    ranks = Encoder(model).ranks(first_requests(requests, len(requests), 0), sequences, catalogue)
    return {
        "retrieval_ndcg_at_10": ndcg_at_10(ranks),
        "retrieval_hr_at_10": float((ranks < 10).mean()) if len(ranks) else 0.0,
        "retrieval_recall_at_100": float((ranks < 100).mean()) if len(ranks) else 0.0,
        "retrieval_requests": float(len(ranks)),
        "retrieval_epochs": float(report.num_epochs),
        "retrieval_best_epoch": float(report.best_epoch),
        "retrieval_seconds": report.seconds,
    }


def _ranker_metrics(report: RankerReport) -> dict[str, float]:
    return {
        "held_out_retrieval_ndcg_at_10": report.retrieval_ndcg_at_10,
        "held_out_ranker_ndcg_at_10": report.ranker_ndcg_at_10,
        "ranker_lists": float(report.num_lists),
        "ranker_best_epoch": float(report.fit.best_epoch),
        "ranker_seconds": report.fit.seconds,
    }


def _write(
    folder: Path,
    query_towers: dict[str, bytes],
    retrieval: RetrievalModel,
    ranker: Ranker,
    device: DeviceSettings,
    seed: int,
    metrics: dict[str, float],
) -> None:
    device_tower = build_device_tower(ranker.dim, device, seed)
    files = {
        **query_towers,
        names.ITEM_TOWER_FILE: export_item_tower(retrieval.item_tower),
        names.RANKER_FILE: export_ranker(ranker),
        names.DEVICE_TOWER_FILE: export_device_tower(device_tower),
        names.DEVICE_WEIGHTS_FILE: encode_weights(device_tower),
        RETRIEVAL_WEIGHTS_FILE: encode_weights(retrieval),
        RANKER_WEIGHTS_FILE: encode_weights(ranker),
        METRICS_FILE: (json.dumps(metrics, indent=1, sort_keys=True) + "\n").encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)

"""The training stages, one per model: prepared examples in, exported towers and weights out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from pipelines.training.examples import Sequences, read_catalogue, read_sequences
from pipelines.training.fitting import FitReport
from pipelines.training.impressions import read_shown
from pipelines.training.lists import ListMaker, RankerLists
from pipelines.training.practice import make_practice
from pipelines.training.quantisation import export_query_towers
from pipelines.training.ranker_stage import RankerReport, choose_tasks, fit_ranker
from pipelines.training.requests import Requests, first_requests, ndcg_at_10, period_requests, validation_requests
from pipelines.training.retrieval_stage import Encoder, build_retrieval, fit_retrieval
from pipelines.training.trail import Trail
from recsys.config.cloud import CloudSettings, RankerSettings, RetrievalSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts import bundle as names
from recsys.contracts.arrays import Float32Array, Int64Array
from recsys.features.catalogue import Catalogue
from recsys.features.item_to_item import HISTORY_LENGTH, ItemToItem
from recsys.features.responses import Period, Responses
from recsys.models.device_export import export_device_files
from recsys.models.device_tower import build_device_tower
from recsys.models.export import export_item_tower, export_ranker
from recsys.models.ranker import Ranker, read_tasks
from recsys.models.retrieval import RetrievalModel
from recsys.models.weights import encode_weights, restore_grown_weights, restore_weights
from recsys.progress import Progress

_ITEMS_OF_A_PERIOD = 20
"""Of one person, where the ranker is to foresee a whole period."""

METRICS_FILE = "metrics.json"
RETRIEVAL_WEIGHTS_FILE = "retrieval.npz"
RANKER_WEIGHTS_FILE = "ranker.npz"


def train_retrieval(
    examples_dir: Path,
    output_dir: Path,
    settings: RetrievalSettings,
    seed: int,
    progress: Progress,
    trail: Trail | None = None,
    base_dir: Path | None = None,
) -> dict[str, float]:
    """Fits retrieval and writes its towers (`recsys.contracts.bundle`), its weights, and the returned metrics as JSON.

    Args:
      examples_dir: What the prepare stage wrote.
      output_dir: Made if absent.
      settings: Sizes and limits.
      seed: Equal seeds, settings and examples give equal weights, unless the clock stopped the training.
      progress: Told each epoch.
      trail: Where the fit keeps checkpoints and learning curves; what an earlier run left there is taken up.
      base_dir: What this wrote for a vocabulary that begins this one: the fit starts from those weights.

    Raises:
      TrainingError: If there are too few examples, or the loss diverges.
      BundleError: If the weights of the base are of another structure.
      ContractError: If the vocabulary is none.
    """
    sequences, catalogue = read_sequences(examples_dir), read_catalogue(examples_dir)
    model = build_retrieval(catalogue, settings, seed)
    if base_dir is not None:
        restore_grown_weights(model, (base_dir / RETRIEVAL_WEIGHTS_FILE).read_bytes(), model.item_tower.tables)
    report = fit_retrieval(model, sequences, catalogue, settings, seed, progress, trail)
    metrics = _retrieval_metrics(report, model, validation_requests(sequences), sequences, catalogue)
    progress.stage("exporting towers")
    query_towers, metrics["query_tower_int8_error"] = export_query_towers(model, sequences, catalogue)
    item_tower = {names.ITEM_TOWER_FILE: export_item_tower(model.item_tower)}
    _write(output_dir, {**query_towers, **item_tower, RETRIEVAL_WEIGHTS_FILE: encode_weights(model)}, metrics)
    return metrics


@dataclass(frozen=True)
class RankerSources:
    """What the ranker learns from.

    Attributes:
      examples: what the prepare stage wrote.
      statistics: what the statistics stage wrote.
      retrieval: what `train_retrieval` wrote, with the same settings of retrieval.
    """

    examples: Path
    statistics: Path
    retrieval: Path

    def restore_retrieval(self, settings: RetrievalSettings, seed: int) -> tuple[RetrievalModel, Catalogue]:
        """Returns the trained model, and the items that it knows.

        Raises:
          BundleError: If the weights are of another structure than the settings say.
        """
        catalogue = read_catalogue(self.examples)
        model = build_retrieval(catalogue, settings, seed)
        restore_weights(model, (self.retrieval / RETRIEVAL_WEIGHTS_FILE).read_bytes())
        return model, catalogue

    def list_maker(
        self, retrieval: RetrievalModel, catalogue: Catalogue, vectors: Float32Array, period: Period
    ) -> ListMaker:
        """Returns what makes lists with the counts of a period.

        Raises:
          ContractError: If statistics or responses are none.
        """
        statistics = pq.read_table(self.statistics / names.ITEM_TO_ITEM_FILE)
        responses = pq.read_table(self.examples / names.RESPONSES_FILE)
        return ListMaker(
            retrieval,
            vectors,
            catalogue,
            ItemToItem.from_table(statistics, catalogue.num_items),
            Responses.from_table(responses, catalogue, period),
        )


def train_ranker(
    sources: RankerSources,
    output_dir: Path,
    settings: CloudSettings,
    seed: int,
    progress: Progress,
    trail: Trail | None = None,
    base_dir: Path | None = None,
) -> dict[str, float]:
    """Fits the ranker on what retrieval proposes and on what was shown; writes it, its weights, and metrics as JSON.

    Args:
      sources: Of examples, statistics and candidates.
      output_dir: Made if absent.
      settings: Sizes and limits.
      seed: As of `train_retrieval`.
      progress: Told each epoch.
      trail: As of `train_retrieval`.
      base_dir: What this wrote earlier: the fit starts from those weights.

    Raises:
      TrainingError: If there are too few examples, or the loss diverges.
      BundleError: If the weights of retrieval are of another structure.
      ContractError: If the vocabulary or the statistics are none.
    """
    sequences = read_sequences(sources.examples)
    retrieval, catalogue = sources.restore_retrieval(settings.retrieval, seed)
    maker = sources.list_maker(retrieval, catalogue, Encoder(retrieval).embed(catalogue), Period.TRAINED)
    progress.stage("retrieving candidates for the ranker")
    length = max(HISTORY_LENGTH, settings.retrieval.history_length)
    shown = read_shown(sources.examples, settings.ranker.session_gap_s, settings.ranker.num_candidates, length)
    requests = sample_requests(sequences, settings.ranker, seed)
    proposed = maker.propose(requests, sequences, settings.ranker)
    practice = make_practice(maker, requests, sequences, settings.ranker, seed)
    rows = sample_rows(len(shown), settings.ranker.max_examples, seed)
    lists = RankerLists(proposed, maker.describe_shown(shown.take(rows)), maker.vectors, practice)
    tf.keras.utils.set_random_seed(seed)
    base = base_dir and (base_dir / RANKER_WEIGHTS_FILE).read_bytes()
    ranker = Ranker(settings.retrieval.dim, settings.ranker, read_tasks(base) if base else choose_tasks(lists.shown))
    if base:
        restore_weights(ranker, base)
    metrics = _ranker_metrics(fit_ranker(ranker, lists, settings.ranker, seed, progress, trail))
    progress.stage("exporting the ranker")
    files = {names.RANKER_FILE: export_ranker(ranker), RANKER_WEIGHTS_FILE: encode_weights(ranker)}
    _write(output_dir, files, metrics)
    return metrics


def make_device_tower(
    output_dir: Path, dim: int, settings: DeviceSettings, seed: int, weights: bytes | None = None
) -> None:
    """Writes the device tower that a bundle starts with, and its weights.

    Args:
      output_dir: Made if absent.
      dim: Length of the item vectors.
      settings: Sizes.
      seed: Draws the weights.
      weights: What `encode_weights` wrote; the tower is untrained where it is None.

    Raises:
      BundleError: If the weights are of other sizes.
    """
    tower = build_device_tower(dim, settings, seed)
    if weights is not None:
        restore_weights(tower, weights)
    _write(output_dir, export_device_files(tower, settings), {})


def sample_requests(sequences: Sequences, settings: RankerSettings, seed: int) -> Requests:
    """Returns what the ranker is to foresee: at most `max_examples` requests, drawn by the seed, in their order."""
    if settings.asks == "period":
        requests = period_requests(sequences, _ITEMS_OF_A_PERIOD, seed)
    else:
        requests = validation_requests(sequences)
    return requests.take(sample_rows(len(requests), settings.max_examples, seed))


def sample_rows(num_rows: int, count: int, seed: int) -> Int64Array:
    """Returns at most `count` rows, drawn by the seed, in their order."""
    if num_rows <= count:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, count, replace=False))


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
        **{f"held_out_{task}_auc": value for task, value in report.aucs.items()},
        "ranker_lists": float(report.num_lists),
        "ranker_shown_lists": float(report.num_shown),
        "ranker_best_epoch": float(report.fit.best_epoch),
        "ranker_seconds": report.fit.seconds,
    }


def _write(folder: Path, files: Mapping[str, bytes], metrics: Mapping[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")

"""The teaching stage: what the ranker, as it is served, thinks of what retrieval proposes to people of the log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.training.examples import read_catalogue, read_moments, read_sequences
from pipelines.training.lists import CandidateLists
from pipelines.training.scoring import Scorer
from pipelines.training.stage import METRICS_FILE, RANKER_WEIGHTS_FILE, RankerSources, sample_requests
from recsys.config.cloud import CloudSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.contracts.teacher import TEACHER_FILE, TEACHER_SCHEMA
from recsys.features.responses import Period
from recsys.models.ranker import Ranker, read_tasks
from recsys.models.weights import restore_weights
from recsys.storage.snapshot import read_snapshot


def write_teacher(
    sources: RankerSources, ranker_dir: Path, embeddings: Path, output_dir: Path, settings: CloudSettings, seed: int
) -> None:
    """Writes a table of `TEACHER_SCHEMA`.

    Its requests are those that the ranker learned from: of the validation period, because what retrieval was fitted to
    it proposes better than it will ever propose anything. Counts are those of the whole log, as they are served.

    Args:
      sources: What the ranker learned from, but with the statistics and the vocabulary that it is served with.
      ranker_dir: What `train_ranker` wrote.
      embeddings: The item vectors of the bundle.
      output_dir: Made if absent.
      settings: Those that retrieval and ranker were trained with.
      seed: Draws the requests, where there are more than `ranker.max_examples`.

    Raises:
      TrainingError: If there are no examples.
      BundleError: If weights are of another structure.
      ContractError: If vocabulary, statistics, responses or vectors are none, or do not fit each other.
    """
    sequences = read_sequences(sources.examples)
    user_ids, times_ms = read_moments(sources.examples)
    requests = sample_requests(sequences, settings.ranker, seed)
    retrieval, _ = sources.restore_retrieval(settings.retrieval, seed)
    catalogue = read_catalogue(sources.statistics)
    vectors = catalogue.align(read_snapshot(embeddings.read_bytes()))
    maker = sources.list_maker(retrieval, catalogue, vectors, Period.KNOWN)
    lists = maker.propose(requests, sequences, settings.ranker)
    weights = (ranker_dir / RANKER_WEIGHTS_FILE).read_bytes()
    ranker = Ranker(settings.retrieval.dim, settings.ranker, read_tasks(weights))
    restore_weights(ranker, weights)
    candidates, scores = _as_lists(lists, Scorer.of(ranker, vectors).scores(lists))
    table = pa.table(
        [
            pa.array([user_ids[user] for user in requests.users.tolist()], pa.string()),
            pa.array(times_ms[requests.places]),
            pa.array(requests.targets),
            candidates,
            scores,
        ],
        schema=TEACHER_SCHEMA,
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, output_dir / TEACHER_FILE, compression="zstd")
    metrics = {"teacher_lists": float(table.num_rows)}
    (output_dir / METRICS_FILE).write_text(json.dumps(metrics) + "\n", encoding="utf-8")


def _as_lists(lists: CandidateLists, scores: Float32Array) -> tuple[pa.ListArray, pa.ListArray]:
    present = lists.candidates > 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    types = (TEACHER_SCHEMA.field(name).type for name in ("candidates", "scores"))
    values: tuple[Int32Array, Float32Array] = (lists.candidates[present], scores[present])
    found = [
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(own), type=kind)
        for own, kind in zip(values, types, strict=True)
    ]
    return found[0], found[1]

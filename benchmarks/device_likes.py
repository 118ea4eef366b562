"""P6 with a device: its tower, trained in rounds on judgements that stay private, has the last word.

Of what is known of a person, the cloud learns without the latest fourth (`protocols.like_or_dislike.conceal`); on these
private judgements the rounds train. An example is a like and the videos that the same person saw in that time and
disliked: impressions as negatives. What the tower is given is what any device has: vectors, the cloud's score, its own
query vector and its latest likes. A third arm has a number of each video beside that, learned in rounds too: what one
person's likes say of a video then reaches the others.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.histories import known_histories, score_likes
from benchmarks.judgements import Judgements, Run
from benchmarks.protocols.like_or_dislike import conceal
from benchmarks.tandem import train_bundle
from federated.device.examples import Choice
from recsys.cascade.cloud import CloudModel
from recsys.cascade.rerank import Reranker
from recsys.config.cloud import CloudSettings
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.contracts.bundle import DEVICE_TRAINING_FILE
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

WITHOUT_PRIVATE, DEVICE, DEVICE_ITEMS = "without_private", "device", "device_items"
CONSENTED_LIKES, PRIVATE_LIKES = "liked_before_consented", "liked_before_private"
LABELS: Final = {
    CONSENTED_LIKES: "liked before by anybody, without what is private",
    PRIVATE_LIKES: "liked before by anybody, in what is private alone",
    WITHOUT_PRIVATE: "Tandem ranker without what is private, asked with the query vector",
    DEVICE: "the same, re-ranked by the global tower on the device",
    DEVICE_ITEMS: "the same, by a tower with a bias of each video (FedSubAvg)",
}
_MAX_NEGATIVES: Final = 99
_NOTHING: Final = np.zeros(0, np.int32)


def run_device(
    task: Judgements, folder: Path, settings: CloudSettings, device: FederatedSettings, seed: int, progress: Progress
) -> dict[str, Run]:
    """Trains a cloud without what is private and then the device's tower; returns what either says of the tested rows.

    Args:
      task: Protocol P6.
      folder: Keeps the workspace of this cloud, so that a rerun does not train it again.
      settings: Of Tandem's pipelines.
      device: Of the device and the rounds.
      seed: Of all training.
      progress: A listener.

    Raises:
      TandemError: As Tandem's pipelines and rounds raise it.
    """
    concealed = conceal(task)
    workspace = Workspace(folder / f"tandem-{concealed.split.fingerprint}")
    bundle, cloud_s = train_bundle(concealed, workspace, settings, seed, progress)
    people = _People(concealed, CloudModel.load(bundle), concealed.tested & ~task.tested)
    start = time.perf_counter()
    towers, facts = _train(people, device, workspace.root / "bench", seed, progress)
    trained_s = time.perf_counter() - start
    private = replace(concealed, tested=~people.private_rows)
    scores = {
        CONSENTED_LIKES: _ask_likes(task, concealed),
        PRIVATE_LIKES: _ask_likes(task, private),
        **_score(task, people, towers),
    }
    asked_s = time.perf_counter() - start - trained_s
    facts |= {"bundle_version": bundle.manifest.version}
    learned_s = {WITHOUT_PRIVATE: cloud_s, **dict.fromkeys((DEVICE, DEVICE_ITEMS), cloud_s + trained_s)}
    return {
        name: Run(own, learned_s.get(name, 0.0), asked_s, facts if name in learned_s else {})
        for name, own in scores.items()
    }


@dataclass(frozen=True)
class _Tower:
    """A tower as a device has it, and what it adds to the score of each item, `[num_items + 1]` float32."""

    reranker: Reranker
    item_bias: Float32Array


class _People:
    """Whom the cloud knows by what it may know, with what their devices know beside."""

    def __init__(self, concealed: Judgements, cloud: CloudModel, private: BoolArray) -> None:
        self.cloud = cloud
        self._task = concealed
        self.private_rows = private
        self._consented = known_histories(concealed, cloud)
        self.indexes: Int32Array = cloud.catalogue.index_of(concealed.item_ids)[concealed.items]

    def consented(self, user: int) -> Int32Array:
        return self._consented.get(self._task.user_ids[user], _NOTHING)

    def private(self, user: int, liked: bool) -> Int32Array:
        """Items that somebody liked in private (or disliked), in the order of time."""
        rows = self.private_rows & (self._task.users == user) & (self._task.liked == liked)
        return self.indexes[rows]

    def choices(self) -> dict[str, list[Choice]]:
        """Private likes, each before the private dislikes of the same person; people without either are left out."""
        users = np.unique(self._task.users[self.private_rows]).tolist()
        made = {self._task.user_ids[user]: self._choose(user) for user in users}
        return {user_id: choices for user_id, choices in made.items() if choices}

    def judge(self, user: int, history: Int32Array, videos: Int32Array) -> tuple[Float32Array, Float32Array]:
        """Returns the device's query vector and the cloud's scores of some videos in answer to it."""
        query = self.cloud.encode(history)
        retrieved = self.cloud.vectors[videos] @ query
        return query, score_likes(self.cloud.judge(query, self.consented(user), videos, retrieved))

    def _choose(self, user: int) -> list[Choice]:
        liked, disliked = self.private(user, True), self.private(user, False)
        choices = []
        for place, item in enumerate(liked.tolist()):
            others = np.unique(disliked[disliked != item][-_MAX_NEGATIVES:])
            if item and len(others):
                history = np.concatenate([self.consented(user), liked[:place]])
                videos = np.append(others, item).astype(np.int32)
                query, scores = self.judge(user, history, videos)
                order = np.lexsort((videos, -scores))
                choices.append(Choice(item, videos[order], scores[order], query, history))
        return choices


def _train(
    people: _People, settings: FederatedSettings, folder: Path, seed: int, progress: Progress
) -> tuple[list[_Tower], dict[str, Any]]:
    """Returns the towers of both arms as a device has them, and what the rounds came to."""
    from federated.simulation.given import train_on_choices, train_rows_on_choices  # TFF, and only here
    from recsys.models.device_export import export_device_files

    choices, vectors = people.choices(), people.cloud.vectors
    try:
        tower, rounds = train_on_choices(choices, vectors, settings, folder, seed, progress)
        progress.stage("P6: the device, with a bias of each video")
        with_bias, item_bias = train_rows_on_choices(choices, vectors, settings, folder, seed, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    facts = {
        "num_people_with_examples": len(choices),
        "num_examples": sum(len(own) for own in choices.values()),
        "rounds": [{"loss": one.loss, "ndcg_at_10": one.ndcg_at_10} for one in rounds],
    }
    models = [export_device_files(one, settings.device)[DEVICE_TRAINING_FILE] for one in (tower, with_bias)]
    biases = (np.zeros_like(item_bias), item_bias)
    return [_Tower(Reranker(model, "infer"), bias) for model, bias in zip(models, biases, strict=True)], facts


def _ask_likes(task: Judgements, known: Judgements) -> Float32Array:
    """`[num_tested]` float32: whether anybody liked the video of each tested row in what is known."""
    return (known.known_likes > 0)[task.items[task.tested]].astype(np.float32)


def _score(task: Judgements, people: _People, towers: Sequence[_Tower]) -> dict[str, Float32Array]:
    """The cloud's scores and those of both towers, `[num_tested]` float32 each."""
    users, indexes = task.users[task.tested], people.indexes[task.tested]
    vectors = people.cloud.vectors
    scores = np.zeros((1 + len(towers), len(users)), np.float32)
    for user in np.unique(users):
        rows = np.flatnonzero(users == user)
        videos, places = np.unique(indexes[rows], return_inverse=True)
        history = np.concatenate([people.consented(user), people.private(user, True)])
        query, cloud_scores = people.judge(user, history, videos)
        scores[0, rows] = cloud_scores[places]
        for row, tower in enumerate(towers, start=1):
            recent = vectors[history[-tower.reranker.history_length :]]
            own = tower.reranker.rerank(vectors[videos], cloud_scores, query, recent) + tower.item_bias[videos]
            scores[row, rows] = own[places]
    return dict(zip((WITHOUT_PRIVATE, DEVICE, DEVICE_ITEMS), scores, strict=True))

"""Replays many people on all cores, in an order and with a result that do not depend on how many there are."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.process import parent_process
from typing import Final

from data.truth import Truth
from federated.device.personal import PersonalTower
from federated.simulation.personal import Personaliser
from federated.simulation.population import Population
from federated.simulation.replay import Replayer, UserReplay
from federated.simulation.rivals import Rivals
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings
from recsys.contracts.bundle import DEVICE_TRAINING_FILE
from recsys.index.faiss_rows import use_threads
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.workspace import Workspace

NUM_CANDIDATES: Final = 100
CHUNK_USERS: Final = 64
_ALONE_BELOW: Final = 256
"""With fewer people, starting processes would take longer than the work."""


class _Crew:
    """What one process needs: the model, the people, and how to replay them."""

    def __init__(
        self, workspace: Workspace, bundle: Bundle, settings: FederatedSettings, seed: int, rivals: Rivals | None
    ) -> None:
        cloud = CloudModel.load(bundle)
        truth = Truth.load(workspace.truth) if workspace.truth.exists() else None
        model = bundle.read_bytes(DEVICE_TRAINING_FILE)
        tower = PersonalTower(model, cloud.vectors, settings.device, settings.personal)
        personaliser = Personaliser(cloud, tower, settings, seed)
        self.replayer = Replayer(cloud, tower, personaliser.personalise, truth, NUM_CANDIDATES, rivals)
        self.population = Population(workspace, cloud.catalogue)

    def replay(self, user_ids: Sequence[str]) -> list[UserReplay]:
        """Returns the replays of those who have a held-out event."""
        replays = (self.replayer.replay(log) for log in self.population.logs(user_ids))
        return [replay for replay in replays if replay.surfaces]


def replay_all(
    workspace: Workspace,
    bundle: Bundle,
    settings: FederatedSettings,
    max_users: int | None,
    seed: int,
    num_processes: int | None = None,
    rivals: Rivals | None = None,
) -> Iterator[tuple[int, int, list[UserReplay]]]:
    """Yields replays as they are done: users finished so far, users in all, and the latest replays.

    Args:
      workspace: With device shards.
      bundle: Judged.
      settings: Of personalisation.
      max_users: At most so many users, drawn by `seed`; everybody where it is None.
      seed: Of the draw, and of what personalisation draws.
      num_processes: As many as there are cores where it is None.
      rivals: Simple models, asked about the same events; None where there are none.

    Raises:
      WorkspaceError: If the workspace holds no devices.
    """
    crew = _Crew(workspace, bundle, settings, seed, rivals)
    user_ids = crew.population.in_shard_order(crew.population.sample(max_users, seed))
    chunks = [user_ids[start : start + CHUNK_USERS] for start in range(0, len(user_ids), CHUNK_USERS)]
    num_processes = num_processes or os.cpu_count() or 1
    done = 0
    if num_processes == 1 or len(user_ids) < _ALONE_BELOW:
        for chunk in chunks:
            done += len(chunk)
            yield done, len(user_ids), crew.replay(chunk)
        return
    # Spawned, not forked: the caller may hold TensorFlow's threads.
    context = multiprocessing.get_context("spawn")
    given = (workspace, bundle.manifest.version, settings, seed, rivals)
    with context.Pool(num_processes, _enlist, given) as pool:
        for chunk, replays in zip(chunks, pool.imap(_replay_chunk, chunks), strict=True):
            done += len(chunk)
            yield done, len(user_ids), replays


_enlisted: list[_Crew] = []


def _enlist(workspace: Workspace, version: str, settings: FederatedSettings, seed: int, rivals: Rivals | None) -> None:
    """Readies a process of the pool; it ends with its parent, however that one ends."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    use_threads(1)
    _enlisted.append(_Crew(workspace, BundleRegistry(workspace).open(version), settings, seed, rivals))


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _replay_chunk(user_ids: Sequence[str]) -> list[UserReplay]:
    return _enlisted[0].replay(user_ids)

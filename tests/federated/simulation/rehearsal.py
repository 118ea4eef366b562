"""What the tests of federation run in processes of their own: TFF takes seconds to load, changes Keras for the rest of
the process, and must be killed.

    python -m tests.federated.simulation.rehearsal federate WORKSPACE [KILL_AFTER_ROUND]
    python -m tests.federated.simulation.rehearsal resume WORKSPACE
    python -m tests.federated.simulation.rehearsal abroad WORKSPACE ADDRESSES [KILL_AFTER_ROUND]
    python -m tests.federated.simulation.rehearsal idle WORKSPACE
    python -m tests.federated.simulation.rehearsal secret WORKSPACE
    python -m tests.federated.simulation.rehearsal small WORKSPACE
    python -m tests.federated.simulation.rehearsal examine WORKSPACE
    python -m tests.federated.simulation.rehearsal interrupt WORKSPACE
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from recsys.config.federated import (
    DeviceSettings,
    FederatedSettings,
    PrivacySettings,
    ReleaseSettings,
    RoundSettings,
    TierSettings,
    WorkersSettings,
)
from recsys.errors import FederationError
from recsys.storage.workspace import Workspace

SETTINGS = FederatedSettings(
    device=DeviceSettings(num_candidates=16, max_examples=8, batch_size=4, local_epochs=2),
    rounds=RoundSettings(num_rounds=4, clients_per_round=6, validation_users=10),
    release=ReleaseSettings(tolerance=0.1),  # ten people are too few for a narrow interval
)
SECRET = SETTINGS.model_copy(
    update={"privacy": PrivacySettings(epsilon=8.0), "release": ReleaseSettings(publish_anyway=True)}
)
SEED = 5


class Killer:
    """A listener that kills its own process after a round, as `kill -9` would."""

    def __init__(self, after_round: int | None) -> None:
        self.after_round = after_round

    def stage(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, done: int, **figures: float) -> None:
        if done == self.after_round:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, text: str) -> None:
        sys.stderr.write(f"note: {text}\n")


def run_federation(workspace: Workspace, kill_after_round: int | None, must_resume: bool = False) -> dict:
    from federated.simulation.program import federate

    return federate(workspace, SETTINGS, SEED, Killer(kill_after_round), must_resume=must_resume).to_json()


def run_abroad(workspace: Workspace, addresses: str, kill_after_round: int | None) -> dict:
    """The same rounds in workers that others have started, for whom cohorts are cut into several packs."""
    from federated.simulation.program import federate

    rounds = SETTINGS.rounds.model_copy(update={"users_per_pack": 2})
    workers = WorkersSettings(addresses=addresses.split(","))
    settings = SETTINGS.model_copy(update={"rounds": rounds, "workers": workers})
    return federate(workspace, settings, SEED, Killer(kill_after_round)).to_json()


def idle(workspace: Workspace) -> list:
    """Rounds that move next to nothing, judged; the same to be published anyway; private ones, and what stops them."""
    from federated.simulation.program import federate

    rounds = SETTINGS.rounds.model_copy(update={"server_learning_rate": 1e-6})
    still = SETTINGS.model_copy(update={"rounds": rounds})
    heedless = still.model_copy(update={"release": ReleaseSettings(publish_anyway=True)})
    reports = [federate(workspace, settings, SEED, Killer(None)).to_json() for settings in (still, heedless)]
    return [*reports, fail_in_secret(workspace)]


def fail_in_secret(workspace: Workspace) -> str:
    """Returns why private rounds do not start."""
    from federated.simulation.program import federate

    try:
        federate(workspace, SECRET, SEED, Killer(None))
    except FederationError as error:
        return str(error)
    return ""


def keep_secret(workspace: Workspace) -> dict:
    """Private rounds, released whatever they are worth; then more of them, for which nothing is left."""
    from federated.simulation.program import federate

    first = federate(workspace, SECRET, SEED, Killer(None)).to_json()
    return {**first, "error": fail_in_secret(workspace)}


def train_small(workspace: Workspace) -> dict:
    """Rounds in which nobody's budget holds more than the smallest tower; what they moved within it, and beside it."""
    import numpy as np

    from federated.simulation.program import federate
    from federated.simulation.sizes import count_bytes
    from recsys.contracts.bundle import DEVICE_WEIGHTS_FILE
    from recsys.models.device_tower import build_device_tower
    from recsys.models.sub_block import mask_weights
    from recsys.models.weights import restore_weights
    from recsys.storage.registry import BundleRegistry

    before = BundleRegistry(workspace).current()
    dim, smallest = before.manifest.dim, SETTINGS.tiers.sizes[0]
    tiers = TierSettings(weight_bytes=dict.fromkeys(("low", "mid", "high"), count_bytes(dim, SETTINGS, smallest)))
    settings = SETTINGS.model_copy(update={"tiers": tiers, "release": ReleaseSettings(publish_anyway=True)})
    federate(workspace, settings, SEED, Killer(None))
    weights = []
    for bundle in (before, BundleRegistry(workspace).current()):
        tower = build_device_tower(dim, SETTINGS.device)
        restore_weights(tower, bundle.read_bytes(DEVICE_WEIGHTS_FILE))
        weights.append([weight.numpy() for weight in tower.trainable_weights])
    masks = mask_weights(dim, SETTINGS.device, smallest)
    moved = [np.abs(end - start) for start, end in zip(*weights, strict=True)]
    return {
        "within": float(max((change * mask).max() for change, mask in zip(moved, masks, strict=True))),
        "beside": float(max((change * (1 - mask)).max() for change, mask in zip(moved, masks, strict=True))),
    }


def examine(workspace: Workspace) -> dict:
    """Compares one packed round with the same arithmetic in plain Keras, shuffles clients, kills the worker."""
    import numpy as np
    import psutil
    import tensorflow_federated as tff

    from federated.simulation.algorithms.registry import build_process
    from federated.simulation.clients import Clients
    from federated.simulation.execution import execute_on
    from federated.simulation.packed.cohort import cut_cohort, to_dataset
    from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields, to_fields
    from federated.simulation.packed.store import hold_store, write_table
    from federated.simulation.population import Population
    from federated.simulation.worker import run_worker
    from recsys.cascade.cloud import CloudModel
    from recsys.models.device_tower import build_device_tower
    from recsys.storage.registry import BundleRegistry

    cloud = CloudModel.load(BundleRegistry(workspace).current())
    population = Population(workspace, cloud.catalogue)
    clients = Clients(cloud, population, SETTINGS.device, SEED)
    examples = clients.examples(sorted(population.count_positives("private"))[:6])
    tower = build_device_tower(cloud.manifest.dim, SETTINGS.device)
    start = [weight.numpy() for weight in tower.trainable_weights]
    folder = workspace.root / "examples"
    fields = example_fields(cloud.manifest.dim, SETTINGS.device)
    with (
        hold_store(folder, fields, 100) as store,
        run_worker(workspace.root / "worker.log", 60.0) as worker,
        execute_on(worker),
    ):
        packed = PackedDeviceTower(write_table(folder / "vectors.bin", cloud.vectors), SETTINGS.device)
        process = build_process(packed, store.columns, SETTINGS)
        initial = process.set_model_weights(
            process.initialize(), tff.learning.models.ModelWeights(trainable=start, non_trainable=[])
        )
        extents = {str(place): store.add(str(place), to_fields(client)) for place, client in enumerate(examples)}
        datasets = [to_dataset(pack) for pack in cut_cohort(extents, 2)]
        output = process.next(initial, datasets)
        averaged = process.get_model_weights(output.state).trainable
        shuffled = process.get_model_weights(process.next(initial, datasets[::-1]).state).trainable
        by_devices = average_by_litert(tower, start, examples, cloud.vectors)
        expected = average_by_hand(tower, start, examples, cloud.vectors)
        (child,) = psutil.Process(worker.warden.pid).children()
        threading.Timer(0.3, child.kill).start()
        began = time.monotonic()
        error = run_until_failure(process, initial, datasets)
    return {
        "num_clients": len(examples),
        "shapes": [list(weight.shape) for weight in averaged] == [list(weight.shape) for weight in start],
        "moved": float(max(np.abs(a - b).max() for a, b in zip(averaged, start, strict=True))),
        "off_by": float(max(np.abs(a - b).max() for a, b in zip(averaged, expected, strict=True))),
        "devices_off_by": float(max(np.abs(a - b).max() for a, b in zip(averaged, by_devices, strict=True))),
        "order_moves": float(max(np.abs(a - b).max() for a, b in zip(averaged, shuffled, strict=True))),
        "num_examples": int(output.metrics["client_work"]["train"]["num_examples"]),
        "expected_examples": sum(map(len, examples)) * SETTINGS.device.local_epochs,
        "error": error,
        "seconds_to_fail": time.monotonic() - began,
    }


def run_until_failure(process, state, datasets) -> str:
    try:
        while True:
            process.next(state, datasets)
    except FederationError as error:
        return str(error)


def average_by_hand(tower, start, examples, vectors) -> list:
    """McMahan et al.'s algorithm 1 written out: local gradient descent, then the mean weighted by rows trained on."""
    import numpy as np

    from tests.federated.simulation.by_hand import descend

    ended = [descend(tower, start, client, vectors, SETTINGS.device) for client in examples]
    counts = [len(client) for client in examples]
    return [np.average(parts, axis=0, weights=counts) for parts in zip(*ended, strict=True)]


def average_by_litert(tower, start, examples, vectors) -> list:
    """The same mean, each client being trained by the interpreter of a device."""
    import numpy as np

    from federated.device.training import LocalTrainer
    from recsys.models.device_export import export_device_training

    trainer = LocalTrainer(export_device_training(tower, SETTINGS.device))
    local = [
        trainer.train(client, vectors, SETTINGS.device.learning_rate, SETTINGS.device.local_epochs).weights
        for client in examples
    ]
    mean = np.average(local, axis=0, weights=[len(client) for client in examples])
    ends = np.cumsum([array.size for array in start])[:-1]
    return [part.reshape(array.shape) for part, array in zip(np.split(mean, ends), start, strict=True)]


def interrupt(workspace: Workspace) -> None:
    """Runs rounds without end until Ctrl-C comes, which it sends itself in the middle of one."""
    from federated.simulation.program import federate

    class Interrupter(Killer):
        def advance(self, done: int, **figures: float) -> None:
            if done == 1:
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    endless = SETTINGS.rounds.model_copy(update={"num_rounds": 10_000})
    federate(workspace, SETTINGS.model_copy(update={"rounds": endless}), SEED, Interrupter(None))


if __name__ == "__main__":
    verb, place = sys.argv[1], Workspace(Path(sys.argv[2]))
    if verb == "interrupt":
        interrupt(place)
    elif verb == "abroad":
        report = run_abroad(place, sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else None)
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        kill_after = int(sys.argv[3]) if len(sys.argv) > 3 else None
        verbs = {"federate": lambda: run_federation(place, kill_after), "idle": lambda: idle(place)}
        verbs["resume"] = lambda: run_federation(place, None, must_resume=True)
        verbs["small"] = lambda: train_small(place)
        verbs["secret"] = lambda: keep_secret(place)
        sys.stdout.write(json.dumps(verbs.get(verb, lambda: examine(place))()) + "\n")

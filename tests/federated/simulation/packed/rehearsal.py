"""Packed rounds beside TFF's own on one cohort, in a process of its own: TFF takes seconds to load.

python -m tests.federated.simulation.packed.rehearsal WORKSPACE
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.algorithms.fed_prox import hold
from federated.simulation.algorithms.registry import ALGORITHMS, build_process, local_weights
from federated.simulation.clients import Clients
from federated.simulation.cohort import sample_cohort
from federated.simulation.execution import execute_on
from federated.simulation.model import model_builder, view_builder
from federated.simulation.model import to_dataset as to_stock
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields, to_fields
from federated.simulation.packed.parts import build_upload, compose, start_from_zeros
from federated.simulation.packed.private import Mechanism
from federated.simulation.packed.robust import build_treatment
from federated.simulation.packed.store import hold_store, write_table
from federated.simulation.packed.training import LocalTraining
from federated.simulation.population import Population
from federated.simulation.rows import train_rows
from federated.simulation.stock import build_stock_process, build_stock_reconstruction
from federated.simulation.views import restore, split_weights
from federated.simulation.worker import run_worker
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import AggregationSettings, DeviceSettings, FederatedSettings, RoundSettings
from recsys.models.device_tower import build_device_tower
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.federated.simulation import by_hand
from tests.federated.simulation.rehearsal import SEED

DEVICE = DeviceSettings(num_candidates=16, max_examples=8, batch_size=3, local_epochs=2)
CLIP_NORM = 1.2
RECONSTRUCTED_CLIP_NORM = 0.3
STRENGTH = 0.5
NUM_ROUNDS = 2


def settings_of(algorithm: str, clip_norm: float) -> FederatedSettings:
    rounds = RoundSettings(
        algorithm=algorithm, clip_norm=clip_norm, proximal_strength=STRENGTH, server_learning_rate=0.7
    )
    return FederatedSettings(device=DEVICE, rounds=rounds)


def run(process, start, data, local=()) -> tuple[list, list]:
    """Weights and measurements after every round over the same clients."""
    weights = tff.learning.models.ModelWeights(trainable=start, non_trainable=list(local))
    state, after, measured = process.set_model_weights(process.initialize(), weights), [], []
    for _ in range(NUM_ROUNDS):
        output = process.next(state, data)
        state = output.state
        after.append([np.asarray(array) for array in process.get_model_weights(state).trainable])
        train = output.metrics["client_work"]["train"]
        measured.append({name: float(value) for name, value in train.items()})
    return after, measured


def distance(one, other) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))


def sent_up(training) -> list[list[int]]:
    """Shapes of all that a pack sends to the server."""
    upload = build_upload(training, start_from_zeros(training).type_signature.result)
    specs = tff.types.type_to_tf_tensor_specs(upload.type_signature.result)
    return [spec.shape.as_list() for spec in tf.nest.flatten(specs)]


def compare_private(tower, columns, vectors, start, packs, datasets) -> dict:
    """Private rounds without noise beside TFF's own, and with noise twice."""
    silent = Mechanism(
        noise_multiplier=0.0,
        mean_cohort=len(datasets) + 3.0,  # more were expected than came
        first_clip_norm=CLIP_NORM,
        unclipped_share=0.3,
        clip_learning_rate=0.9,
        seed=SEED,
    )
    aggregator = tff.aggregators.DifferentiallyPrivateFactory.gaussian_adaptive(
        0.0, silent.mean_cohort, CLIP_NORM, silent.unclipped_share, silent.clip_learning_rate, 0.0
    )
    stock = tff.learning.algorithms.build_unweighted_fed_avg(
        model_builder(vectors, DEVICE),
        tff.learning.optimizers.build_sgdm(DEVICE.learning_rate),
        tff.learning.optimizers.build_sgdm(0.7),
        model_aggregator=aggregator,
        loop_implementation=tff.learning.LoopImplementation.DATASET_ITERATOR,
    )
    plan = settings_of("fed_avg", 0.0)
    quiet, measured = run(build_process(tower, columns, plan, silent), start, packs)
    loud = build_process(tower, columns, plan, replace(silent, noise_multiplier=1.0))
    once, again = (run(loud, start, packs)[0] for _ in range(2))
    alone, _ = run(loud, start, [])
    return {
        "off_by": max(map(distance, quiet, run(stock, start, datasets)[0])),
        "moved": distance(quiet[-1], start),
        "num_clipped": [one["num_clipped"] for one in measured],
        "noise_moves": distance(once[-1], quiet[-1]),
        "again_off_by": max(map(distance, once, again)),
        "without_anybody_moved": distance(alone[0], start),
    }


def compare_robust(tower, columns, vectors, start, cuts, datasets) -> dict:
    """Rounds with moving bounds beside TFF's own, and what the encodings change; the first cut is the usual one."""
    own = {"first_clip_norm": 1.0, "first_peak": 10.0, "zero_floor": 1.0}  # TFF's
    stock = tff.learning.algorithms.build_weighted_fed_avg(
        model_builder(vectors, DEVICE),
        tff.learning.optimizers.build_sgdm(DEVICE.learning_rate),
        tff.learning.optimizers.build_sgdm(0.7),
        model_aggregator=tff.learning.robust_aggregator(),
        loop_implementation=tff.learning.LoopImplementation.DATASET_ITERATOR,
    )
    expected, _ = run(stock, start, datasets)
    found = {}
    for kind in ("robust", "compressed", "secure"):
        aggregation = AggregationSettings(kind=kind, **own)
        plan = settings_of("fed_avg", 0.0).model_copy(update={"aggregation": aggregation})
        process = build_process(tower, columns, plan, build_treatment(plan, SEED))
        usual, *others = (run(process, start, [to_dataset(pack) for pack in cut]) for cut in cuts)
        found[kind] = {
            "moved": distance(usual[0][-1], start),
            "off_by": max(map(distance, usual[0], expected)),
            "cuts_off_by": max(max(map(distance, usual[0], other[0])) for other in others),
            "num_clipped": [one["num_clipped"] for one in usual[1]],
        }
    return found


def compare_reconstruction(tower, columns, vectors, start, packs, examples, clip_norm) -> dict:
    """Rounds of partly local towers beside TFF's own."""
    plan = settings_of("fed_recon", clip_norm)
    once = DEVICE.model_copy(update={"local_epochs": 1})  # TFF deals the batches out, and repeats them then
    stock = build_stock_reconstruction(view_builder(vectors, DEVICE, "partially_local"), plan)
    local = local_weights("fed_recon", len(start))
    shared, own = split_weights(start, local)
    expected, _ = run(stock, shared, [to_stock(one, once) for one in examples])  # its loss is a mean over batches
    got, measured = run(build_process(tower, columns, plan), shared, packs, own)
    return {
        "off_by": max(map(distance, got, expected)),
        "moved": distance(got[-1], shared),
        "num_examples": measured[0]["num_examples"],
        "num_clipped": measured[0]["num_clipped"],
        "sent": [list(array.shape) for array in got[-1]],
    }


def compare_rows(dense, table, store, extents, vectors, examples, worker) -> dict:
    """Rounds of the tower with a bias of each item beside the same by hand, with and without the correction."""
    plan = settings_of("fed_avg", CLIP_NORM)
    num_people = len(examples) * 2 // 3  # a row's heat is counted over all, whoever comes
    rounds = plan.rounds.model_copy(update={"num_rounds": NUM_ROUNDS, "clients_per_round": num_people})
    plan = plan.model_copy(update={"rounds": rounds.model_copy(update={"users_per_pack": 8})})
    tower = build_device_tower(vectors.shape[1], DEVICE)  # those made before TFF built its own can do nothing any more
    start = [*dense, np.zeros(len(vectors), np.float32)]
    cohorts = [sample_cohort(extents, num_people, SEED, number) for number in range(1, NUM_ROUNDS + 1)]
    expected, num_clipped = by_hand.train_rows(tower, start, examples, cohorts, vectors, plan)
    found = {}
    for is_heated in (True, False):
        restore(tower, dense)
        biases = train_rows(tower, table, store, extents, plan, execute_on(worker), SEED, is_heated=is_heated)
        got = [*(weight.numpy() for weight in tower.trainable_weights), biases]
        found[is_heated] = {"off_by": distance(got, expected), "table_off_by": distance(got[-1:], expected[-1:])}
    return {
        "corrected": found[True],
        "uncorrected": found[False],
        "moved": distance(expected[:-1], dense),
        "table_moved": float(np.abs(expected[-1]).max()),
        "num_clipped": num_clipped,
        "num_updates": NUM_ROUNDS * num_people,
    }


def repel(tower, columns, start, packs, own_prox, datasets) -> float:
    """How far TFF's own FedProx is from ours with the sign of its proximal term turned."""
    training = LocalTraining(tower, columns, DEVICE.batch_size, DEVICE.local_epochs, DEVICE.learning_rate)
    turned = compose(replace(training, amend=hold(-STRENGTH)), tff.learning.optimizers.build_sgdm(1.0))
    return max(map(distance, run(turned, start, packs)[0], run(own_prox, start, datasets)[0]))


def compare(workspace: Workspace) -> dict:
    cloud = CloudModel.load(BundleRegistry(workspace).current())
    population = Population(workspace, cloud.catalogue)
    examples = {
        user: own
        for user, own in Clients(cloud, population, DEVICE, SEED).build(sorted(population.count_positives("private")))
        if len(own)
    }
    counts = sorted(len(own) for own in examples.values())
    plans = {"fed_avg": settings_of("fed_avg", 0.0)}
    plans |= {f"{name}, clipped": settings_of(name, CLIP_NORM) for name in ALGORITHMS if name != "fed_recon"}
    stock = {name: build_stock_process(model_builder(cloud.vectors, DEVICE), plan) for name, plan in plans.items()}
    own_prox = tff.learning.algorithms.build_weighted_fed_prox(
        model_builder(cloud.vectors, DEVICE), STRENGTH, tff.learning.optimizers.build_sgdm(DEVICE.learning_rate)
    )
    tower = build_device_tower(cloud.manifest.dim, DEVICE)
    start = [weight.numpy() for weight in tower.trainable_weights]
    fields = example_fields(cloud.manifest.dim, DEVICE)
    found = {"counts": counts, "algorithms": {}}
    root = workspace.root / "examples"
    with hold_store(root, fields, sum(counts)) as store, run_worker(workspace.root / "worker.log", 60.0) as worker:
        for user in sorted(examples, key=lambda user: user[::-1]):  # an order that is not the cohort's
            store.add(user, to_fields(examples[user]))
        extents = {user: store.extent(user) for user in examples}
        packed_tower = PackedDeviceTower(write_table(root / "vectors.bin", cloud.vectors), DEVICE)
        packs = [to_dataset(pack) for pack in cut_cohort(extents, 8)]
        datasets = [to_stock(own, DEVICE) for own in examples.values()]
        with execute_on(worker):
            for name, plan in plans.items():
                process = build_process(packed_tower, store.columns, plan)
                expected, stock_measured = run(stock[name], start, datasets)
                got, measured = run(process, start, packs)
                found["algorithms"][name] = {
                    "moved": distance(got[-1], start),
                    "off_by": max(map(distance, got, expected)),
                    "loss_off_by": max(
                        abs(a["loss"] - b["loss"]) for a, b in zip(measured, stock_measured, strict=True)
                    ),
                    "num_examples": measured[0]["num_examples"],
                    "stock_num_examples": stock_measured[0]["num_examples"],
                    "num_clipped": measured[0]["num_clipped"],
                }
            found["private"] = compare_private(packed_tower, store.columns, cloud.vectors, start, packs, datasets)
            for name, clip_norm in (("reconstruction", 0.0), ("reconstruction, clipped", RECONSTRUCTED_CLIP_NORM)):
                found[name] = compare_reconstruction(
                    packed_tower, store.columns, cloud.vectors, start, packs, list(examples.values()), clip_norm
                )
            found["tff_fed_prox_off_by_with_the_sign_turned"] = repel(
                packed_tower, store.columns, start, packs, own_prox, datasets
            )
            cuts = {
                "one pack": cut_cohort(extents, len(extents)),
                "alone": cut_cohort(extents, 1),
                "backwards": [pack[::-1] for pack in cut_cohort(extents, 5)[::-1]],
            }
            found["robust"] = compare_robust(
                packed_tower, store.columns, cloud.vectors, start, [cut_cohort(extents, 8), *cuts.values()], datasets
            )
            found["cuts"] = {
                name: max(map(distance, run(process, start, [to_dataset(pack) for pack in cut])[0], got))
                for name, cut in cuts.items()
            }
        found["rows"] = compare_rows(start, packed_tower.vectors, store, extents, cloud.vectors, examples, worker)
    found["left"] = root.exists()
    found["weights"] = [list(array.shape) for array in start]
    found["sent_up"] = sent_up(LocalTraining(packed_tower, store.columns, 3, 2, 0.3))
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compare(Workspace(Path(sys.argv[1])))) + "\n")

"""What federated learning gives: the cloud alone, everybody alone, TFF's own, and every way of ours, side by side."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args

from recsys.config.federated import Algorithm, FederatedSettings
from recsys.config.settings import override_settings
from recsys.errors import ConfigError
from recsys.metrics.intervals import compare
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

if TYPE_CHECKING:
    from federated.simulation.trial import Arm, Trial
    from recsys.contracts.arrays import Float64Array

CLOUD_ONLY: Final = "cloud_only"
REFERENCE: Final = "fed_avg"
_METRIC: Final = "ndcg_at_10"
_POISONED_SHARE: Final = 0.1
_EPSILON: Final = 8.0
_LOST_SHARE: Final = 0.3
_NUMBER_BYTES: Final = 4


def bench_learning(
    workspace: Workspace,
    *,
    settings: FederatedSettings,
    seed: int,
    progress: Progress,
    names: tuple[str, ...] = (),
    version: str | None = None,
) -> dict[str, Any]:
    """Returns what each way of learning comes to, JSON-ready.

    Args:
      workspace: With device logs and a bundle; its `bench/learning` holds the examples meanwhile.
      settings: Of the device, the rounds and those who judge.
      seed: Of cohorts, noise, poisoners and intervals.
      progress: Told of the rounds.
      names: Of arms; all where there is none.
      version: Of the bundle whose cloud sends the lists; the current one where it is None. Its device tower counts for
        nothing: every arm begins with the untrained one.

    Returns:
      `arms.<name>.ndcg_at_10` and `differences.<name>-<reference>.ndcg_at_10` (`mean`, `low`, `high`), where the
      references are the cloud alone and FedAvg; `costs.<name>`: `seconds`, `bytes_up`, `bytes_down` of a client in a
      round; `secure_sum`: of one cohort's sum under masks (`measure_secure_sum`), on numbers that are drawn.

    Raises:
      ConfigError: If there is no arm of a name.
      FederationError: If the worker does not start or dies.
      WorkspaceError: If there are no device logs, no bundle, or no space on the disk.
    """
    from federated.simulation.trial import hold_trial

    arms = choose_arms(settings, names)
    registry = BundleRegistry(workspace)
    bundle = registry.open(version) if version else registry.current()
    folder = workspace.root / "bench" / "learning"
    try:
        with hold_trial(workspace, bundle, settings, folder, seed, progress) as trial:
            values, costs = _run_arms(trial, arms, progress)
            num_people, num_judges = len(trial.counts), len(trial.judged)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    num_values = costs[REFERENCE]["bytes_up"] // _NUMBER_BYTES if REFERENCE in costs else 0
    pairs = [(name, reference) for reference in (CLOUD_ONLY, REFERENCE) for name in arms if name != reference]
    figures, differences = compare(values, [pair for pair in pairs if pair[1] in values], seed)
    return {
        "dataset": bundle.manifest.dataset,
        "split_fingerprint": bundle.manifest.split_fingerprint,
        "bundle_version": bundle.manifest.version,
        "seed": seed,
        "num_rounds": settings.rounds.num_rounds,
        "clients_per_round": settings.rounds.clients_per_round,
        "num_people": num_people,
        "num_judges": num_judges,
        "arms": _to_json(figures),
        "differences": _to_json(differences),
        "costs": costs,
        "secure_sum": measure_secure_sum(int(num_values), settings.rounds.clients_per_round, seed),
    }


def measure_secure_sum(num_values: int, num_devices: int, seed: int) -> dict[str, Any]:
    """Returns what a sum under masks costs a device, of which 30 % are lost, and whether it is the plain sum.

    Args:
      num_values: That each device adds: an update's, and its weight.
      num_devices: At least 4, or more than half would be lost.
      seed: Of the values, and of who is lost.
    """
    import numpy as np

    from federated.simulation.secure_sum import sum_securely

    rng = np.random.default_rng(seed)
    values = {number: rng.integers(0, 2**32, num_values, np.uint32) for number in range(1, num_devices + 1)}
    lost = rng.choice(num_devices, int(_LOST_SHARE * num_devices), replace=False) + 1
    found = sum_securely(values, frozenset(lost.tolist()))
    plain = np.sum([values[number] for number in found.came], axis=0, dtype=np.uint32)
    return {
        "num_devices": num_devices,
        "num_lost": len(lost),
        "is_equal": bool(np.array_equal(found.total, plain)),
        "bytes_up": found.bytes_up,
        "bytes_down": found.bytes_down,
    }


def _run_arms(
    trial: Trial, arms: Mapping[str, Arm], progress: Progress
) -> tuple[dict[str, dict[str, Float64Array]], dict[str, dict[str, float]]]:
    values = {CLOUD_ONLY: {_METRIC: trial.validation.ndcg_of_cloud()}}
    costs: dict[str, dict[str, float]] = {}
    for name, arm in arms.items():
        progress.stage(name)
        outcome = trial.run(name, arm, progress)
        values[name] = {_METRIC: outcome.ndcg}
        costs[name] = {"seconds": outcome.seconds, "bytes_up": outcome.bytes_up, "bytes_down": outcome.bytes_down}
    return values, costs


def choose_arms(settings: FederatedSettings, names: tuple[str, ...]) -> dict[str, Arm]:
    """Returns the arms of these names in the order of the table; all where there is none.

    Raises:
      ConfigError: If there is no arm of a name.
    """
    arms = list_arms(settings)
    unknown = [name for name in names if name not in arms]
    if unknown:
        raise ConfigError(f"Expected arms out of {', '.join(arms)}, got {', '.join(unknown)}.")
    return {name: arm for name, arm in arms.items() if name in names or not names}


def list_arms(settings: FederatedSettings) -> dict[str, Arm]:
    """Returns all arms; what the settings say of algorithm, aggregation and privacy counts for nothing."""
    from federated.simulation.trial import Arm

    plain = _change(settings, "rounds", algorithm="fed_avg")
    plain = _change(_change(plain, "aggregation", kind="mean"), "privacy", epsilon=0.0)
    device, personal, rounds = settings.device, settings.personal, settings.rounds
    average = Arm(plain, learning_rate=device.learning_rate)
    arms = {
        "untrained": replace(average, kind="none"),
        "alone": replace(average, kind="none", view="fully_local", epochs=rounds.num_rounds),
        "tff_fed_avg": replace(average, kind="stock"),
    }
    for algorithm in get_args(Algorithm):
        arms[algorithm] = replace(average, settings=_change(plain, "rounds", algorithm=algorithm))
    arms["fed_recon"] = replace(
        arms["fed_recon"],
        view="partially_local",
        epochs=rounds.reconstruction_epochs,
        learning_rate=rounds.reconstruction_rate,
    )
    arms["fed_avg_rows"] = replace(average, kind="rows")
    arms["fed_sub_avg"] = replace(average, kind="heated_rows")
    arms["fed_avg_own"] = replace(
        average, view="fully_local", epochs=personal.local_epochs, learning_rate=personal.learning_rate
    )
    for kind in ("robust", "compressed", "secure"):
        arms[kind] = replace(average, settings=_change(plain, "aggregation", kind=kind))
    arms["private"] = replace(average, settings=_change(plain, "privacy", epsilon=_EPSILON))
    arms["fed_avg_poisoned"] = replace(average, poisoned_share=_POISONED_SHARE)
    arms["robust_poisoned"] = replace(arms["robust"], poisoned_share=_POISONED_SHARE)
    return arms


def _change(settings: FederatedSettings, section: str, **values: object) -> FederatedSettings:
    return settings.model_copy(update={section: override_settings(getattr(settings, section), values)})


def _to_json(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {metric: one.to_json() for metric, one in metrics.items()} for name, metrics in figures.items()}

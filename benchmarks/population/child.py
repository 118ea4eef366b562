"""What is measured, in a process of its own: `python -m benchmarks.population.child WHAT FOLDER NUMBERS`.

    shards FOLDER PEOPLE          the job that writes the devices' shards
    round FOLDER CLIENTS SEED     `tandem federate` with one round

Tells in `WHAT.json` in the folder what it cost.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.start import read_peak_bytes
from recsys.config.federated import FederatedSettings, RoundSettings
from recsys.progress import Silent
from recsys.storage.workspace import Workspace


class _Clock(Silent):
    """Notes when the first stage begins: everybody is known then."""

    def __init__(self) -> None:
        self.first_s: float | None = None

    def stage(self, name: str, total: int | None = None) -> None:
        if self.first_s is None:
            self.first_s = time.perf_counter()


def run_shards(place: Workspace, num_people: int) -> dict[str, Any]:
    """Writes the shards; returns the seconds of the job."""
    from benchmarks.population.drawing import write_devices

    begin = time.perf_counter()
    write_devices(place, num_people)
    return {"seconds": time.perf_counter() - begin}


def run_round(place: Workspace, num_clients: int, seed: int) -> dict[str, Any]:
    """Runs one round; returns the seconds until everybody is listed, those of the round, and who took part."""
    from federated.simulation.program import federate

    clock = _Clock()
    settings = FederatedSettings(rounds=RoundSettings(num_rounds=1, clients_per_round=num_clients))
    begin = time.perf_counter()
    (told,) = federate(place, settings, seed, clock).rounds
    listed_s = clock.first_s or begin
    return {
        "list_seconds": listed_s - begin,
        "round_seconds": told.seconds,
        "num_clients": told.num_clients,
        "num_examples": told.num_examples,
    }


def main(what: str, folder: Path, *numbers: int) -> None:
    """Does what is named and tells what it cost."""
    run = {"shards": run_shards, "round": run_round}[what]
    told = run(Workspace(folder), *numbers)
    told["peak_bytes"] = read_peak_bytes("self")
    (folder / f"{what}.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))

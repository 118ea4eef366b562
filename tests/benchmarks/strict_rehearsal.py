"""The benchmark of strict federation on people that fit on paper, in a process of its own: TFF takes seconds to load.

python -m tests.benchmarks.strict_rehearsal FOLDER DROPOUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.strict import bench_strict
from recsys.config.federated import StrictSettings, StrictTowerSettings
from recsys.progress import Silent
from tests.benchmarks.tasks import make_task

NUM_ITEMS, NUM_USERS = 12, 30
TOWER = StrictTowerSettings(
    dim=4, history_length=3, num_heads=2, head_dim=2, num_negatives=3, num_rounds=2, devices_per_round=5
)


def main(folder: Path, dropout: float) -> None:
    rng = np.random.default_rng(4)
    # A ring: most people go on to the next item.
    histories = [
        [int(start + step) % NUM_ITEMS for step in range(5)] for start in rng.integers(0, NUM_ITEMS, NUM_USERS)
    ]
    task = make_task(histories, NUM_ITEMS)
    result = bench_strict(
        task,
        folder / "sums",
        StrictSettings(min_devices=1),
        dropout=dropout,
        seed=1,
        progress=Silent(),
        tower=TOWER,
    )
    json.dump({**result, "left": (folder / "sums").exists()}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))

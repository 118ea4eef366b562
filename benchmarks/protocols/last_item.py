"""P2: MovieLens 1M, each user's last item out of the whole catalogue.

The protocol of SASRec's and BERT4Rec's replications under full ranking: 5-core, leave one out by order. Settings are
chosen on the item before the last; then models learn from all but the last, and know all but the last of a history.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.protocols.assembly import Description, HeldOut, assemble
from benchmarks.settings import HOLD_OUT_LATEST, BaselineSettings
from benchmarks.task import Task
from data.registry import read_dataset
from data.split import leave_one_out
from recsys.config.data import DataSettings


def read_last_item(source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task.

    Args:
      source: Where MovieLens 1M lies; None searches.
      held_out: The part that is asked for.

    Raises:
      DatasetError: If the data is missing or broken.
    """
    dataset = read_dataset("movielens-1m", source, DataSettings(), 0)
    description = Description(
        "P2", "MovieLens 1M 5-core, leave one out, full ranking", BaselineSettings(), pipeline=HOLD_OUT_LATEST
    )
    return assemble(description, dataset, leave_one_out(dataset.events), held_out)

"""One event per event_id."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.prepare.source import ROW


def deduplicate(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Divides lawful events into those to keep and their duplicates.

    Of the rows with one `event_id` the earliest by time is kept, of these the first in the log. All rows of an id
    must be in `table`, so the log is routed by `event_id` before it comes here, whoever the user is.

    Returns:
      The kept rows and the others, both in the order of the log.
    """
    ids = table.column("event_id").combine_chunks().dictionary_encode().indices.to_numpy()
    rows = table.column(ROW).to_numpy()
    order = np.lexsort((rows, table.column("timestamp_ms").to_numpy(), ids))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = ids[order][1:] != ids[order][:-1]
    kept, dropped = order[is_first], order[~is_first]
    return (
        table.take(pa.array(kept[np.argsort(rows[kept])])),
        table.take(pa.array(dropped[np.argsort(rows[dropped])])),
    )

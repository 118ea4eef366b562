"""What the cloud's ranker thinks of candidates of the consented log: soft labels for devices to distil from.

It speaks of persons, so it is no part of a bundle, which servers and devices download: it lies in the workspace of the
cloud, `teacher/<bundle version>.parquet`, and holds nothing but what its people consented to give to the cloud.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TEACHER_FILE: Final = "teacher.parquet"

TEACHER_SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("chosen", pa.int32(), nullable=False),
        pa.field("candidates", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
        pa.field("scores", pa.list_(pa.field("item", pa.float32(), nullable=False)), nullable=False),
    ]
)
"""One row per request, by user and time. At `timestamp_ms` the person chose the item `chosen`; what the person chose
before is the history of the request. `candidates` are item indexes of the bundle's vocabulary, as retrieval orders
them; `scores` are the ranker's calibrated log-odds of each.

Law: they are what `recsys.cascade.cloud.CloudModel.rank` of the bundle gives for that request, to 1e-4.
"""

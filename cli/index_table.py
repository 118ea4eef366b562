"""The tables of `tandem bench index`, as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

_TIMES: Final = (("ms", 3), ("speedup", 1))
"""What is told of a way of asking, and its digits after the point."""


def tabulate_indexes(result: Mapping[str, Any]) -> list[Table]:
    """Returns a table per index: one row per effort, then filtered and changed at the last of them."""
    tables = []
    for world, measured in result["worlds"].items():
        for index in measured["indexes"]:
            size = f"{index['bytes_per_item']:.0f} bytes a vector, built in {index['build_s']:.0f} s"
            title = f"{result['num_items']:,} × {result['dim']} {world}, {index['factory']}: {size}"
            table = Table(title=title, caption="one thread; × is throughput against exact search")
            for heading in ("search", "Recall@100", "ms, one", "×", "ms, in a batch", "×"):
                table.add_column(heading, justify="left" if heading == "search" else "right")
            rows = {f"effort {row['effort']:.3g}": row for row in index["efforts"]}
            rows |= {f"{row['allowed_share']:.1%} allowed": row for row in index["filtered"]}
            rows[f"{index['replaced']['replaced_share']:.1%} replaced"] = index["replaced"]
            for name, row in rows.items():
                times = (f"{row[f'{how}_{what}']:.{digits}f}" for how in ("one", "batch") for what, digits in _TIMES)
                table.add_row(name, f"{row['recall_at_100']:.4f}", *times)
            tables.append(table)
    return tables

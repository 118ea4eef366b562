"""`tandem bench` as a person meets it."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from cli.bench.cold import tabulate_cold
from cli.bench.prepare import tabulate_prepare
from cli.bench.query_tower import tabulate_towers
from cli.bench.results import format_interval
from cli.bench.serving import tabulate_load
from cli.bench.soak import tabulate_soak
from cli.bench.start import tabulate_start
from cli.bench.survival import tabulate_kills
from cli.console import print_to
from cli.index_table import tabulate_indexes
from tests.cli.conftest import Run

REPOSITORY = Path(__file__).resolve().parents[2]

COMMANDS = (
    "query-tower",
    "cloud",
    "survival",
    "resumption",
    "likes",
    "cold",
    "index",
    "prepare",
    "federated",
    "population",
    "strict",
    "edge-cloud",
    "device",
    "start",
    "serving",
)


def test_the_help_lists_every_benchmark_with_its_whole_line(tandem: Run) -> None:
    run = tandem("bench", "--help")
    lines = {line.split()[0]: line for line in run.stdout.splitlines() if line.startswith("  ") and line.split()}
    assert [lines[name] for name in COMMANDS if lines[name].endswith("...")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_has_an_example_and_the_options_they_share(name: str, tandem: Run) -> None:
    run = tandem("bench", name, "--help")
    assert run.returncode == 0
    for text in ("Examples:", f"  tandem bench {name}", "--workspace PATH", "--seed N", "--json"):
        assert text in run.stdout, text


@pytest.mark.parametrize("name", ["query-tower", "cold", "population", "edge-cloud", "device", "start", "serving"])
def test_a_benchmark_of_an_empty_workspace_names_the_command_that_fills_it(name: str, tandem: Run) -> None:
    run = tandem("bench", name, "--workspace", "nowhere")
    assert run.returncode == 4
    assert "Run `tandem " in run.stderr.splitlines()[-1]


def test_the_table_of_starts_tells_the_median_and_the_slowest() -> None:
    server = {"seconds": 1.5, "runs": [1.4, 1.5, 2.25], "peak_bytes": 150 * 2**20, "first_answer_ms": 2.0}
    stream = io.StringIO()
    print_to(stream, tabulate_start({"help": {"seconds": 0.2, "runs": [0.2, 0.2, 0.31]}, "server": server}))
    shown = stream.getvalue()
    for text in ("medians of 3 starts", "0.20", "0.31", "1.50", "2.25", "150 MiB"):
        assert text in shown, text


def test_the_table_of_loads_has_a_row_for_saturation_and_one_for_each_share() -> None:
    latency = {"p50_ms": 1.25, "p90_ms": 2.5, "p99_ms": 4.75, "max_ms": 9.0}
    level = {"share": 0.5, "per_second": 432.0, "latency": latency, "failures": {"429": 2, "0": 1}}
    level |= {"generator": {"cpu_share": 0.31}, "cpu_ms": 1.5}
    endpoint = {"name": "rerank 100", "per_second": 864.0, "floor_share": 0.52, "levels": [level]}
    silent = {**endpoint, "name": "recommend", "levels": [{**level, "latency": {}}]}
    result = {"num_items": 100_000, "num_workers": 2, "num_cores": 2, "server": {"peak_bytes": 300 * 2**20}}
    stream = io.StringIO()
    print_to(stream, tabulate_load({**result, "endpoints": [endpoint, silent]}))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in stream.getvalue().splitlines() if "│" in line]
    assert rows[0] == ["rerank 100", "saturated", "864", "52%", "", "", "", "", "", "", ""]
    assert rows[1] == ["", "50%", "432", "", "1.2", "2.5", "4.8", "9.0", "1.50", "3", "31%"]
    assert rows[3][4:8] == ["-"] * 4
    assert "100,000 items, 2 cores for server (processes: 2) and load, 300 MiB at most" in stream.getvalue()


def test_the_table_of_a_long_run_tells_what_failed_what_happened_and_whether_memory_grew() -> None:
    memory = {"start_bytes": 2.0**27, "end_bytes": 2.0**28, "slope_bytes_per_min": 2.0**19}
    result = {
        "num_workers": 2,
        "seconds": 600.0,
        "offered_per_second": 250.4,
        "num_answers": 150_000,
        "attempts": {"0": 3, "200": 150_000},
        "failures": {},
        "latency": {"p50_ms": 1.25, "p99_ms": 4.75, "max_ms": 9.0},
        "memory": [memory],
        "done": [{"at_s": 420.0, "what": "killed one of 2 processes"}],
    }
    stream = io.StringIO()
    print_to(stream, tabulate_soak(result))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in stream.getvalue().splitlines() if "│" in line]
    assert ["attempts by status", "0: 3, 200: 150,000"] in rows
    assert ["failed by status", "none"] in rows
    assert ["memory of survivor 1", "256 MiB, +0.50 MiB a minute"] in rows
    assert ["after 420 s", "killed one of 2 processes"] in rows
    assert "2 processes, 600 s, 250 requests a second" in stream.getvalue()


def test_a_difference_bears_its_sign() -> None:
    assert format_interval({"mean": 0.01, "low": -0.02, "high": 0.04}, "+") == "+0.0100  -0.0200 … +0.0400"


def test_the_table_of_kills_tells_what_was_cut_off_and_which_files_differ() -> None:
    told = {"after_s": 1.25, "rerun_seconds": 9.5, "differing": [], "left_behind": []}
    kills = [
        {"stage": "ranker", "hit": "ranker", **told, "differing": ["ranker.tflite"]},
        {"stage": "ranker", "hit": "embed", **told},
        {"stage": "publish", "hit": None, **told, "left_behind": ["x.partial"]},
    ]
    stream = io.StringIO()
    print_to(stream, tabulate_kills({"whole_seconds": 20.0, "kills": kills, "num_same": 2}))
    shown = stream.getvalue()
    assert "2 of 3 bundles are the same" in shown
    assert "a whole training: 20.0 s" in shown
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert rows == [
        ["ranker", "1.25 s", "9.5 s", "differs: ranker.tflite"],
        ["embed", "1.25 s of ranker", "9.5 s", "the same"],
        ["nothing: had ended", "1.25 s of publish", "9.5 s", "the same; left behind: x.partial"],
    ]


def test_the_table_tells_size_time_and_quality_of_each_tower() -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    quality = {"recall_at_100": interval, "ndcg_at_10": interval}
    tower = {"size_bytes": 12_345, "median_ms": 0.25, "p95_ms": 0.5, **quality}
    result = {
        "dataset": "synthetic",
        "num_users": 7,
        "num_events": 9,
        "towers": {"float": tower, "int8": tower},
        "differences": {"int8-float": {name: {"mean": -0.1, "low": -0.2, "high": 0.0} for name in quality}},
    }
    stream = io.StringIO()
    print_to(stream, tabulate_towers(result))
    shown = stream.getvalue()
    for text in ("synthetic: 7 people", "12,345", "0.250", "0.5000  0.4000 … 0.6000", "-0.1000  -0.2000 … +0.0000"):
        assert text in shown, text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--protocol", "P9"), "Expected a protocol out of P1, P2"),
        (("--arms", "bert4rec"), "Expected arms out of popularity, recent_popularity"),
    ],
)
def test_what_the_comparison_does_not_know_is_refused(arguments: tuple[str, ...], told: str, tandem: Run) -> None:
    run = tandem("bench", "cloud", *arguments)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith(told)


def test_a_comparison_on_real_data_is_told_written_and_gone_on_with(tandem: Run, tmp_path: Path) -> None:
    source = Path(os.environ.get("TANDEM_DATA") or REPOSITORY.parent / "shared" / "datasets") / "movielens-100k"
    if not source.is_dir():
        pytest.skip("the real datasets are absent: set TANDEM_DATA to their folder")
    command = ("bench", "cloud", "--protocol", "P3", "--arms", "popularity,recent_popularity", "--from", str(source))
    run = tandem(*command, "--json", "--workspace", str(tmp_path / "w"))
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)["protocols"]["P3"]
    warm = result["groups"]["warm"]["arms"]["recent_popularity"]["ndcg_at_10"]
    assert warm["mean"] == pytest.approx(0.227, abs=0.001)
    assert json.loads(Path(result["report_json"]).read_text())["groups"] == result["groups"]
    assert "<svg" in Path(result["report_html"]).read_text()
    again = tandem(*command, "--workspace", str(tmp_path / "w"))
    assert again.stderr.count("kept from an earlier run") == 2
    assert "P3 MovieLens 100K, global time split 80/10/10, full ranking, warm: 69 people" in again.stdout


def test_the_table_of_cold_items_has_a_row_for_each_arm_and_difference() -> None:
    names = ("recall_at_100", "hidden_recall_at_10", "hidden_recall_at_100")
    metrics = {name: {"mean": 0.5, "low": 0.4, "high": 0.6} for name in names}
    result = {
        "dataset": "synthetic",
        "num_events": 9,
        "num_users": 7,
        "num_hidden": 3,
        "num_items": 30,
        "arms": {"tandem": metrics, "random": metrics},
        "differences": {"tandem-random": metrics},
    }
    stream = io.StringIO()
    print_to(stream, tabulate_cold(result))
    rows = {line.split("│")[1].strip(): line for line in stream.getvalue().splitlines() if line.startswith("│")}
    assert list(rows) == ["tandem", "random", "tandem − random"]
    assert rows["tandem"].count("0.5000  0.4000 … 0.6000") == 3
    assert rows["tandem − random"].count("+0.5000  +0.4000 … +0.6000") == 3


def test_an_index_that_is_measured_is_told_and_written(tandem: Run, tmp_path: Path) -> None:
    run = tandem(
        "bench", "index", "--items", "500", "--dim", "8", "--vectors", "random", "--json", "--workspace", tmp_path
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    written = json.loads(Path(result["report_json"]).read_text())
    assert written["worlds"] == result["worlds"]
    (index,) = result["worlds"]["random"]["indexes"]
    assert (index["factory"], index["efforts"][-1]["recall_at_100"]) == ("Flat", 1.0)


def test_the_table_of_an_index_has_a_row_for_each_effort_filter_and_change() -> None:
    row = {"recall_at_100": 0.95, "one_ms": 0.5, "one_speedup": 25.0, "batch_ms": 0.25, "batch_speedup": 12.5}
    index = {
        "factory": "HNSW32",
        "build_s": 61.0,
        "bytes_per_item": 528.0,
        "efforts": [{"effort": 0.25, **row}, {"effort": 0.5, **row}],
        "filtered": [{"allowed_share": 0.001, **row}],
        "replaced": {"replaced_share": 0.01, **row},
    }
    result = {"num_items": 1_000_000, "dim": 64, "worlds": {"clustered": {"indexes": [index]}}}
    stream = io.StringIO()
    (table,) = tabulate_indexes(result)
    print_to(stream, table)
    shown = stream.getvalue()
    for text in ("clustered, HNSW32: 528 bytes", "effort 0.25", "effort 0.5", "0.1% allowed", "1.0% replaced"):
        assert text in shown, text
    assert shown.count("0.9500") == 4
    assert "25.0" in shown


def test_the_table_of_prepare_has_a_row_for_each_size_and_way_and_tells_how_both_grow() -> None:
    ways = {
        "prepare": {"seconds": 5.0, "rows_per_second": 200_000.0, "peak_bytes": 2**30},
        "pandas": {"seconds": 4.0, "rows_per_second": 250_000.0, "peak_bytes": 2**31},
    }
    size = {"rows": 1_000_000, "ways": ways, "ratio": 1.25}
    stream = io.StringIO()
    print_to(stream, tabulate_prepare({"sizes": [size], "growth": {"prepare": 10.5, "pandas": 12.0}}))
    shown = stream.getvalue()
    for text in ("1,000,000", "200,000", "1.00 GiB", "2.00 GiB", "× 1.25", "prepare × 10.5, pandas × 12.0"):
        assert text in shown, text

"""The import contracts of setup.cfg hold, and each of them can break."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

from tests.architecture.conftest import ROOMS

PLANTS = {
    # contract: (module that must not, the statement, what the report must name)
    "sides": ("serving/engine.py", "import federated.device", "serving.engine -> federated.device"),
    "rooms": ("recsys/contracts/feed.py", "import recsys.index", "recsys.contracts.feed -> recsys.index"),
    "tensorflow": ("recsys/features/history.py", "import tensorflow", "recsys.features.history -> tensorflow"),
    "federation": ("pipelines/runner.py", "import tensorflow_federated", "pipelines.runner -> tensorflow_federated"),
    "beam": ("data/split.py", "import apache_beam", "data.split -> apache_beam"),
    "faiss": ("recsys/index/exact.py", "import faiss", "recsys.index.exact -> faiss"),
    "litert": ("recsys/cascade/rooms.py", "import ai_edge_litert", "recsys.cascade.rooms -> ai_edge_litert"),
    "web": ("data/registry.py", "import fastapi", "data.registry -> fastapi"),
    "records": ("data/registry.py", "import msgspec", "data.registry -> msgspec"),
    "terminal": ("data/ingest.py", "    import rich", "data.ingest -> rich"),
    "settings": ("recsys/contracts/events.py", "import pydantic", "recsys.contracts.events -> pydantic"),
    "keys": ("recsys/exchange/uplink.py", "import cryptography", "recsys.exchange.uplink -> cryptography"),
    "redis": ("recsys/storage/registry.py", "import redis", "recsys.storage.registry -> redis"),
    "traces": ("serving/observation.py", "import opentelemetry", "serving.observation -> opentelemetry"),
    "pandas": ("recsys/features/catalogue.py", "import pandas", "recsys.features.catalogue -> pandas"),
    "server": (
        "recsys/cascade/cloud.py",
        "import recsys.models.ranker",
        "recsys.cascade.cloud -> recsys.models.ranker",
    ),
    "baselines": ("benchmarks/baselines/ease.py", "import pipelines.job", "benchmarks.baselines.ease -> pipelines.job"),
    "comparison": (
        "benchmarks/evaluation.py",
        "import benchmarks.baselines.ease",
        "benchmarks.evaluation -> benchmarks.baselines.ease",
    ),
    "implicit": ("benchmarks/baselines/blend.py", "import implicit", "benchmarks.baselines.blend -> implicit"),
    "trees": ("benchmarks/baselines/likes.py", "import sklearn", "benchmarks.baselines.likes -> sklearn"),
    "device": ("recsys/cascade/rerank.py", "import recsys.index.exact", "recsys.cascade.rerank -> recsys.index.exact"),
}


def test_every_contract_is_kept(root: Path) -> None:
    report = lint(root)
    assert report.returncode == 0, report.stdout + report.stderr
    assert "0 broken" in report.stdout


def test_each_contract_breaks_when_its_forbidden_import_is_planted(root: Path, tmp_path: Path) -> None:
    copy_rooms(root, tmp_path)
    for path, statement, _ in PLANTS.values():
        plant(tmp_path / path, statement)
    report = lint(tmp_path)
    assert report.returncode == 1
    names = read_contract_names(root)
    assert set(names) == set(PLANTS)
    for identifier, (_, _, link) in PLANTS.items():
        assert f"{names[identifier]} BROKEN" in report.stdout, identifier
        assert link in report.stdout, identifier


def test_a_new_room_without_a_place_in_the_layers_breaks_the_contract(root: Path, tmp_path: Path) -> None:
    copy_rooms(root, tmp_path)
    (tmp_path / "recsys" / "attic").mkdir()
    (tmp_path / "recsys" / "attic" / "__init__.py").write_text('"""A room that nobody planned."""\n')
    report = lint(tmp_path)
    assert report.returncode == 1
    assert "recsys.attic" in report.stdout


def read_contract_names(root: Path) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg")
    prefix = "importlinter:contract:"
    return {name.removeprefix(prefix): parser[name]["name"] for name in parser.sections() if name.startswith(prefix)}


def copy_rooms(root: Path, target: Path) -> None:
    for room in ROOMS:
        shutil.copytree(root / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "setup.cfg", target)


def plant(module: Path, statement: str) -> None:
    """Appends an import; an indented one goes into a function, where contracts see it just as well."""
    assert module.is_file(), f"{module} has moved; plant somewhere else"
    wrapped = f"def planted() -> None:\n{statement}" if statement.startswith(" ") else statement
    module.write_text(f"{module.read_text()}\n\n{wrapped}\n")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache"],
        cwd=folder,
        # The folder under test comes before the installed Tandem.
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )

"""Nothing heavy is loaded before it is needed; each claim is checked in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import fastapi
import pytest

TRAINING = ("tensorflow", "tensorflow_recommenders", "tensorflow_federated", "apache_beam", "jax", "keras")
NUMERIC = ("numpy", "pyarrow", "pandas", "faiss", "ai_edge_litert")
HEAVY = (*TRAINING, *NUMERIC, "fastapi", "pydantic", "matplotlib", "rich")


def test_no_package_loads_anything_heavy_by_itself(modules: list[Path], root: Path) -> None:
    packages = [".".join(path.relative_to(root).parent.parts) for path in modules if path.name == "__init__.py"]
    assert "recsys.models" in packages
    assert load(packages, HEAVY, root) == []


@pytest.mark.parametrize("module", ["cli.main", "cli.session"])
def test_the_command_line_loads_nothing_heavy_before_a_verb_runs(module: str, root: Path) -> None:
    assert load([module], HEAVY, root) == []


def test_the_server_loads_no_training_framework(root: Path) -> None:
    assert load(["serving.server"], TRAINING, root) == []


def test_a_server_without_redis_does_not_load_its_client(root: Path) -> None:
    assert load(["serving.server"], ("redis",), root) == []


def test_the_devices_half_loads_no_federation_pipeline_or_index(root: Path) -> None:
    modules = ["federated.device.device", "recsys.cascade.rerank"]
    assert load(modules, ("tensorflow_federated", "apache_beam", "faiss", "tensorflow"), root) == []


def test_the_environment_keeps_what_it_imports_compiled() -> None:
    """Where nothing may be written at run time, every process would compile it anew, which takes as long again."""
    package = Path(fastapi.__file__).parent
    assert [path for path in package.rglob("*.py") if not Path(cache_from_source(str(path))).exists()] == []


def load(modules: list[str], unwanted: tuple[str, ...], root: Path) -> list[str]:
    """Imports modules in a fresh interpreter; returns which unwanted packages came along."""
    code = "import sys\n" + "".join(f"import {module}\n" for module in modules) + "print(*sys.modules, sep='\\n')"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return sorted(set(run.stdout.split()) & set(unwanted))

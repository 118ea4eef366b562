"""One kill of the real command; `tandem bench survival` does ten."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import survival
from benchmarks.survival import STAGES, Span, bench_survival, choose_stages, plan_kills
from pipelines.ingestion import ingest
from recsys.config.cloud import CloudSettings
from recsys.config.settings import load_settings
from recsys.errors import ConfigError, TrainingError, WorkspaceError
from recsys.progress import Silent
from recsys.storage.workspace import Workspace
from tests.pipelines.conftest import TINY_DATA

SETTINGS = """
[retrieval]
dim = 8
history_length = 10
num_blocks = 1
num_heads = 1
num_negatives = 16
batch_size = 16
max_epochs = 3
[ranker]
num_candidates = 10
hidden_units = [8]
num_cross_layers = 1
max_epochs = 2
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    ingest(workspace, "synthetic", TINY_DATA, 1)
    return workspace


def test_a_training_killed_at_any_moment_and_run_again_ends_in_the_same_bundle(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "cloud.toml").write_text(SETTINGS)
    result = bench_survival(workspace, kills=1, seed=3, progress=Silent(), config=tmp_path / "cloud.toml")
    assert [kill["differing"] for kill in result["kills"]] == [[]]
    assert result["num_same"] == 1
    assert {"embeddings.parquet", "query_tower.tflite", "ranker.tflite", "teacher.parquet"} <= set(result["files"])
    assert tuple(result["stages"]) == STAGES
    assert [kill["left_behind"] for kill in result["kills"]] == [[]]
    assert list((workspace.root / "bench").iterdir()) == []


def test_a_training_that_fails_by_itself_is_told_with_its_words(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").write_text("[retrieval]\ndim = 0\n")
    with pytest.raises(TrainingError, match=r"Expected `tandem train` .* got code \d+: (?s:.*)`retrieval.dim`"):
        bench_survival(workspace, kills=1, seed=0, progress=Silent(), config=tmp_path / "cloud.toml")


def test_a_workspace_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Run `tandem ingest"):
        bench_survival(Workspace(tmp_path), kills=1, seed=0, progress=Silent())


def test_every_stage_is_killed_once_before_one_is_killed_again() -> None:
    spans = [Span(stage, 0.1) for stage in STAGES[:-1]] + [Span("publish", 1_000.0)]
    kills = plan_kills(spans, 12, 3)
    assert [kill.stage for kill in kills] == [*STAGES, "publish", "publish"], "those beyond fall on the longest"
    assert all(0 <= kill.after_s <= (1_000.0 if kill.stage == "publish" else 0.1) for kill in kills)
    assert len({kill.stage for kill in plan_kills(spans, 5, 3)}) == 5


def test_equal_seeds_draw_equal_moments() -> None:
    spans = [Span(stage, 2.0) for stage in STAGES]
    assert plan_kills(spans, 10, 3) == plan_kills(spans, 10, 3) != plan_kills(spans, 10, 4)


def test_the_settings_for_a_quick_run_are_read() -> None:
    settings = load_settings(CloudSettings, Path(survival.__file__).with_suffix(".toml"))
    assert (settings.retrieval.max_epochs, settings.ranker.max_epochs) == (4, 3)


def test_stages_are_chosen_by_name() -> None:
    assert choose_stages(None) == STAGES
    assert choose_stages("index, prepare") == ("index", "prepare")


@pytest.mark.parametrize(("names", "got"), [("ranker,tea", "tea"), (" ,", "none")])
def test_a_stage_that_the_job_does_not_have_is_refused(names: str, got: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected stages out of prepare, .*publish, got {got}"):
        choose_stages(names)

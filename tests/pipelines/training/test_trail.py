from pathlib import Path

from pipelines.training.trail import Trail


def test_each_model_has_folders_of_its_own():
    whole = Trail(Path("kept"), Path("seen"))
    assert whole.of("ranker") == Trail(Path("kept/ranker"), Path("seen/ranker"))

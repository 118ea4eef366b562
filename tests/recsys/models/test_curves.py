import resource

import pytest

from recsys.errors import WorkspaceError
from recsys.models.curves import Curves
from tests.curves import read_curves

FIRST = {"loss": 4.0, "validation": 0.25}
SECOND = {"loss": 2.0, "validation": 0.5}


def told(step, figures):
    return [(step, name, value) for name, value in figures.items()]


def test_each_step_can_be_seen_at_once(tmp_path):
    curves = Curves(tmp_path / "run", [])
    curves.add(1, FIRST)
    assert read_curves(tmp_path / "run") == told(1, FIRST)
    curves.add(2, SECOND)
    assert read_curves(tmp_path / "run") == told(1, FIRST) + told(2, SECOND)
    curves.close()


def test_a_run_that_is_taken_up_holds_each_step_once(tmp_path):
    cut_off = Curves(tmp_path / "run", [])
    cut_off.add(1, FIRST)
    cut_off.add(2, FIRST)
    cut_off.close()
    resumed = Curves(tmp_path / "run", [FIRST])
    resumed.add(2, SECOND)
    resumed.close()
    assert read_curves(tmp_path / "run") == told(1, FIRST) + told(2, SECOND)


def test_a_full_disk_is_named(tmp_path):
    curves = Curves(tmp_path / "run", [FIRST])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(WorkspaceError, match=r"learning curves to .*run, got: .*File too large\. Free space there"):
            curves.add(2, SECOND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match=r"got: .*is not a directory"):
        Curves(tmp_path / "file" / "run", [])

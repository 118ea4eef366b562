from pathlib import Path

import pytest

from data.registry import DATASETS, read_dataset
from recsys.config.data import DataSettings
from recsys.errors import DatasetError


def test_the_names_are_the_documented_ones():
    assert set(DATASETS) == {
        *("synthetic", "movielens-100k", "movielens-1m", "movielens-latest-small", "kuairand", "events"),
    }
    assert all(entry.description for entry in DATASETS.values())


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"Expected a dataset out of synthetic, .*events, got 'movielens-20m'"):
        read_dataset("movielens-20m", None, DataSettings(), seed=0)


def test_the_synthetic_world_takes_no_source():
    with pytest.raises(DatasetError, match="Expected no --from with 'synthetic', which is generated, got x"):
        read_dataset("synthetic", Path("x"), DataSettings(), seed=0)


@pytest.mark.parametrize("name", ["movielens-100k", "movielens-1m", "movielens-latest-small", "kuairand", "events"])
def test_every_reader_names_a_source_that_is_absent(name, tmp_path):
    with pytest.raises(DatasetError, match=r"got nothing there\. Check the path given with --from"):
        read_dataset(name, tmp_path / "absent", DataSettings(), seed=0)


@pytest.mark.parametrize("name", ["movielens-100k", "movielens-1m", "movielens-latest-small", "kuairand"])
def test_every_named_set_is_found_through_the_environment(name, real_data, monkeypatch):
    monkeypatch.setenv("TANDEM_DATA", str(real_data))
    assert read_dataset(name, None, DataSettings(), seed=0).name == name

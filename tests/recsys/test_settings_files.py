"""Each side's commented TOML states every default, so that it can be copied and changed."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest

from recsys.config.cloud import CloudSettings
from recsys.config.federated import FederatedSettings
from recsys.config.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
FILES = {"pipelines/cloud.toml": CloudSettings, "federated/federated.toml": FederatedSettings}


@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_the_file_holds_every_setting_at_its_default(name, kind):
    defaults = kind()
    assert load_settings(kind, ROOT / name) == defaults
    stated = tomllib.loads((ROOT / name).read_text())
    assert {section: set(keys) for section, keys in stated.items()} == {
        section: set(values) for section, values in defaults.model_dump().items()
    }


@pytest.mark.parametrize("name", FILES)
def test_every_setting_stands_below_a_comment(name):
    lines = (ROOT / name).read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if "=" in line and not line.startswith("#"):
            assert above.startswith("# "), line

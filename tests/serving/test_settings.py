from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import serving
from recsys.config.serving import ServingSettings
from recsys.config.settings import load_settings
from recsys.errors import ConfigError

FILE = Path(serving.__file__).parent / "serving.toml"


def test_the_commented_file_holds_every_setting_at_its_default():
    assert load_settings(ServingSettings, FILE) == ServingSettings()
    assert set(tomllib.loads(FILE.read_text())) == set(ServingSettings.model_fields)


def test_every_setting_in_the_file_stands_under_a_comment():
    for paragraph in FILE.read_text().strip().split("\n\n"):
        assert paragraph.startswith("# "), paragraph
    assert len(re.findall(r"^[a-z_]+ = ", FILE.read_text(), re.MULTILINE)) == len(ServingSettings.model_fields)


def test_an_unknown_key_is_refused_by_name(tmp_path):
    file = tmp_path / "serving.toml"
    file.write_text("prot = 80\n")
    with pytest.raises(ConfigError, match="unknown key `prot`"):
        load_settings(ServingSettings, file)

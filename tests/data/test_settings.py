"""The commented files of this room against the code that they speak of."""

import re

import pytest

from recsys.config.data import DataSettings, WorldSettings
from recsys.config.settings import load_settings
from recsys.contracts.events import Action
from recsys.contracts.schema import TABLES
from recsys.errors import ConfigError
from tests.data.conftest import REPOSITORY

SCHEMA_DOCUMENT = (REPOSITORY / "data" / "event_schema.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (yes|no) \| (.+?) \|$", re.MULTILINE)


def test_world_toml_holds_the_defaults_and_every_key():
    path = REPOSITORY / "data" / "world.toml"
    assert load_settings(DataSettings, path) == DataSettings()
    written = set(re.findall(r"^(\w+) =", path.read_text(), re.MULTILINE))
    expected = set(WorldSettings.model_fields) | set(DataSettings().split.model_dump())
    assert written == expected


def test_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "world.toml"
    path.write_text("[world]\nnum_planets = 9\n")
    with pytest.raises(ConfigError, match=r"unknown key `world\.num_planets`"):
        load_settings(DataSettings, path)


@pytest.mark.parametrize("table", ["event", "item", "room", "user"])
def test_the_documented_columns_are_those_of_the_contract(table):
    section = SCHEMA_DOCUMENT.split(f"\n### {table}\n")[1].split("\n#")[0]
    documented = [match.groups() for match in ROW.finditer(section)]
    assert documented == [
        (field.name, str(field.type), "no" if field.nullable else "yes", field.meaning) for field in TABLES[table]
    ]


def test_every_action_is_documented():
    for action in Action:
        assert f"`{action}`" in SCHEMA_DOCUMENT

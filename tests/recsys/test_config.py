from __future__ import annotations

import pytest

from recsys.config.cloud import CloudSettings
from recsys.config.federated import RoundSettings
from recsys.config.settings import load_settings, override_settings
from recsys.errors import ConfigError


def test_without_a_file_the_defaults_hold():
    assert load_settings(CloudSettings) == CloudSettings()


def test_a_file_may_hold_any_subset_of_the_keys(tmp_path):
    path = tmp_path / "cloud.toml"
    path.write_text("[index]\nrecall_floor = 0.5\n")
    settings = load_settings(CloudSettings, path)
    assert settings.index.recall_floor == 0.5
    assert settings.retrieval == CloudSettings().retrieval


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[index]\nrecal_floor = 0.5\n", "unknown key `index.recal_floor`; remove it or correct its spelling"),
        ("[index]\nrecall_floor = 2\n", "`index.recall_floor`: .* less than or equal to 1, got 2"),
        ("[index\n", "Expected TOML in .*cloud.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(tmp_path, text, message):
    path = tmp_path / "cloud.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_settings(CloudSettings, path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"a settings file at .*gone\.toml, got: No such file"):
        load_settings(CloudSettings, tmp_path / "gone.toml")


def test_a_command_line_changes_what_it_names_and_nothing_else():
    settings = RoundSettings(clients_per_round=7)
    changed = override_settings(settings, {"algorithm": "fed_adam", "num_rounds": None})
    assert changed == RoundSettings(clients_per_round=7, algorithm="fed_adam")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"algorithm": "fed_up"}, r"`algorithm`: .*'fed_avg'.*got 'fed_up'"), ({"round": 3}, "unknown key `round`")],
)
def test_a_command_line_that_names_what_is_not_there_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        override_settings(RoundSettings(), changes)

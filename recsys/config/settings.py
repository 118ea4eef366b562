"""What all settings share, and how they are read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Settings(BaseModel):
    """Frozen settings; an unknown key is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_SettingsT = TypeVar("_SettingsT", bound=Settings)


def load_settings(kind: type[_SettingsT], path: Path | None = None) -> _SettingsT:
    """Returns settings from a TOML file, or the defaults where `path` is None.

    Args:
      kind: The settings class of the side.
      path: A TOML file with any subset of the keys.

    Raises:
      ConfigError: If the file is missing or no TOML, a key is unknown, or a value is out of range.
    """
    if path is None:
        return kind()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Expected a settings file at {path}, got: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Expected TOML in {path}, got: {error}.") from error
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(problem) for problem in error.errors())) from error


def override_settings(settings: _SettingsT, changes: Mapping[str, object]) -> _SettingsT:
    """Returns settings with some values changed, as a command line does.

    Args:
      settings: Of one section.
      changes: Key to value; None leaves what is.

    Raises:
      ConfigError: If a key is unknown, or a value is out of range.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        return type(settings).model_validate({**settings.model_dump(), **given})
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors())) from error


def _explain(problem: ErrorDetails) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key `{key}`; remove it or correct its spelling"
    if problem["type"] == "value_error":  # of a check of ours, which says what came
        return f"`{key}`: {problem['ctx']['error']}"
    return f"`{key}`: {problem['msg']}, got {problem['input']!r}"

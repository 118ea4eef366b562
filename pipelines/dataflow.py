"""From the settings of the runner to Beam's flags for Google Cloud Dataflow."""

from __future__ import annotations

import importlib
from typing import Final

from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError

_NEEDED: Final = {
    "dataflow_project": "the project that pays",
    "dataflow_region": "a region, such as europe-west1",
    "dataflow_temp_location": "a folder of a bucket, such as gs://bucket/tmp",
    "dataflow_image": "a container image that has Tandem, and sees the workspace under the path that it has here",
}
_CLIENT: Final = "google.cloud.dataflow"


def dataflow_flags(settings: RunnerSettings) -> tuple[str, ...]:
    """Returns Beam's flags.

    Raises:
      ConfigError: If something is not said, or Beam's client for Google Cloud is not installed.
    """
    for name, meaning in _NEEDED.items():
        if not getattr(settings, name):
            raise ConfigError(f"Expected `runner.{name}` ({meaning}) for Dataflow, got none. Set it by `--config`.")
    check_location(settings.dataflow_temp_location)
    check_client()
    return options_of(settings)


def options_of(settings: RunnerSettings) -> tuple[str, ...]:
    """Returns Beam's flags for complete settings."""
    return (
        "--runner=DataflowRunner",
        f"--project={settings.dataflow_project}",
        f"--region={settings.dataflow_region}",
        f"--temp_location={settings.dataflow_temp_location}",
        f"--sdk_container_image={settings.dataflow_image}",
        # The image has Beam and Tandem: nothing is staged.
        "--sdk_location=container",
        f"--num_workers={settings.parallelism}",
        f"--restarts={settings.num_restarts}",
    )


def check_location(location: str) -> None:
    """Tells a folder of a bucket from other places.

    Raises:
      ConfigError: If it is none.
    """
    if not location.removeprefix("gs://").strip("/") or not location.startswith("gs://"):
        raise ConfigError(f"Expected `runner.dataflow_temp_location` as gs://BUCKET/FOLDER, got {location!r}.")


def check_client() -> None:
    """Looks for what Beam speaks to Dataflow with; Tandem's own lock does without.

    Raises:
      ConfigError: If it is not installed.
    """
    try:
        importlib.import_module(_CLIENT)
    except ImportError as error:
        raise ConfigError(
            f"Expected Beam's client for Google Cloud beside Beam, got: {error}. Install `apache-beam[gcp]` of the "
            "same version into this environment."
        ) from error

"""Settings of `tandem demo`."""

from __future__ import annotations

from recsys.config.cloud import CloudSettings
from recsys.config.data import DataSettings
from recsys.config.federated import FederatedSettings
from recsys.config.settings import Settings


class DemoSettings(Settings):
    """Everything that `tandem demo` can be told: the settings of each side under its name."""

    data: DataSettings = DataSettings()
    cloud: CloudSettings = CloudSettings()
    federated: FederatedSettings = FederatedSettings()

"""Gives each person of the replay the device of their own: trained on, and gated by, their private log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from federated.device.gate import Order
from federated.device.personal import PersonalTower, split_choices
from federated.simulation.choices import ChoiceMaker
from federated.simulation.clients import NUM_CANDIDATES
from federated.simulation.user_log import UserLog
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings


@dataclass(frozen=True)
class Personaliser:
    """Makes one person's tower after the other.

    Attributes:
      tower: Holds the tower of the person who was last asked for.
      seed: Of the draws; each person draws from it and their id.
    """

    cloud: CloudModel
    tower: PersonalTower
    settings: FederatedSettings
    seed: int

    def personalise(self, log: UserLog) -> Mapping[bool, Order]:
        """Trains the tower on a person's earlier private choices; returns whose order their later ones call for.

        As in the rounds, every second choice that is trained on has a list that answers the device's query vector. The
        decision is made apart for such lists (under True) and for the others (under False).

        Args:
          log: Nothing of its held-out part is read.
        """
        maker = ChoiceMaker(self.cloud, log, NUM_CANDIDATES)
        rows = maker.private_rows
        cut = split_choices(len(rows), self.settings.personal.judged_share)
        kept = self.settings.device.max_examples
        trained, judged = rows[max(0, cut - kept) : cut], rows[cut:][-kept:]
        earlier = {fresh: [maker.choice(row, fresh) for row in trained] for fresh in (False, True)}
        seen = [earlier[place % 2 == 1][place] for place in range(len(trained))]
        if self.settings.device.passed_over_share:
            seen = [
                maker.add_shown(choice, row, place % 2 == 1)
                for place, (choice, row) in enumerate(zip(seen, trained, strict=True))
            ]
        self.tower.train(seen, np.random.default_rng([self.seed, *log.user_id.encode()]))
        return {
            fresh: self.tower.decide([maker.choice(row, fresh) for row in judged], earlier[fresh])
            for fresh in (False, True)
        }

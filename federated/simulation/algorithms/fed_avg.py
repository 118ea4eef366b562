"""Communication-Efficient Learning of Deep Networks from Decentralized Data, McMahan et al., AISTATS 2017.

    the server sends w; each device k runs gradient descent over its examples: w_k
    w <- w - rate * sum_k n_k / n (w - w_k)

Deviations: a device's examples are not shuffled; updates may be clipped (off by default); the server takes a step of
its own size along the mean (Reddi et al., ICLR 2021; 1 is plain averaging).
"""

from __future__ import annotations

import tensorflow_federated as tff

from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.training import LocalTraining
from recsys.config.federated import RoundSettings


def build_fed_avg(
    training: LocalTraining, settings: RoundSettings, compose: Composer = compose
) -> tff.learning.templates.LearningProcess:
    """Returns federated averaging.

    Args:
      training: What a device does.
      settings: Of the server.
      compose: Puts the parts together; in private rounds with noise.
    """
    return compose(training, tff.learning.optimizers.build_sgdm(settings.server_learning_rate))

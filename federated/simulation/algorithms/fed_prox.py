"""Federated Optimization in Heterogeneous Networks, Li et al., MLSys 2020.

    the server sends w; each device k descends F_k(v) + mu / 2 |v - w|^2 from v = w: w_k
    w <- w - rate * sum_k n_k / n (w - w_k)

Deviations: those of `fed_avg`; every device takes all of its steps (the paper lets slow ones take fewer); devices are
weighted by their examples, in place of being drawn by them. Not TFF's own: that has the sign of the proximal term
wrong (see `stock`).
"""

from __future__ import annotations

from dataclasses import replace

import tensorflow_federated as tff

from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.training import Amendment, LocalTraining, Tensors
from recsys.config.federated import RoundSettings


def build_fed_prox(
    training: LocalTraining, settings: RoundSettings, compose: Composer = compose
) -> tff.learning.templates.LearningProcess:
    """Returns federated averaging whose devices are held near the weights that were sent.

    Args:
      training: What a device does without it.
      settings: Of the server, and the strength.
      compose: Puts the parts together; in private rounds with noise.
    """
    held = replace(training, amend=hold(settings.proximal_strength))
    return compose(held, tff.learning.optimizers.build_sgdm(settings.server_learning_rate))


def hold(strength: float) -> Amendment:
    """Adds the gradient of the proximal term, `strength * (v - w)`."""

    def amend(weights: Tensors, start: Tensors, gradients: Tensors) -> Tensors:
        return [
            gradient + strength * (weight - begin[None])
            for weight, begin, gradient in zip(weights, start, gradients, strict=True)
        ]

    return amend

"""Federated Reconstruction: Partially Local Federated Learning, Singhal et al., NeurIPS 2021.

    the server has g and sends it; each device k reconstructs its own l_k out of its support examples, g standing still
    from there it descends on its query examples, l_k standing still: g_k
    g <- g - rate * sum_k n_k / n (g - g_k)                            n_k: query examples

l_k is neither sent nor kept: whoever takes part again, or only uses the tower, makes it anew. What the server sends
with g is where every l_k begins, the same for all and in all rounds.

Deviations: support and query examples are every other batch (as TFF's split has it); those of `fed_avg`.
"""

from __future__ import annotations

from dataclasses import fields

import tensorflow_federated as tff

from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.reconstruction import Reconstruction
from federated.simulation.packed.training import LocalTraining
from federated.simulation.views import View, find_local
from recsys.config.federated import RoundSettings


def build_fed_recon(
    training: LocalTraining, settings: RoundSettings, compose: Composer = compose
) -> tff.learning.templates.LearningProcess:
    """Returns federated reconstruction.

    Args:
      training: What a device does with the weights of the server.
      settings: Of the server, and of the reconstruction.
      compose: Puts the parts together; in private rounds with noise.
    """
    reconstruction = reconstruct_with(training, settings, "partially_local")
    return compose(reconstruction, tff.learning.optimizers.build_sgdm(settings.server_learning_rate))


def reconstruct_with(training: LocalTraining, settings: RoundSettings, view: View) -> Reconstruction:
    """Returns the training of a view of the tower; arguments as of `build_fed_recon`."""
    given = {one.name: getattr(training, one.name) for one in fields(LocalTraining)}
    return Reconstruction(
        **given,
        local=find_local(view, len(training.tower.weight_shapes)),
        reconstruction_epochs=settings.reconstruction_epochs,
        reconstruction_rate=settings.reconstruction_rate,
    )

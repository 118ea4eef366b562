"""How rounds change the global device tower.

Weighted federated averaging: Communication-Efficient Learning of Deep Networks from Decentralized Data, McMahan et
al., AISTATS 2017, as TFF builds it, in its form with a server learning rate (Adaptive Federated Optimization, Reddi
et al., ICLR 2021; 1 is plain averaging). Deviation: a client's rows are not shuffled, so that a run can be repeated.
"""

from __future__ import annotations

import tensorflow_federated as tff

from federated.simulation.model import model_builder
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float32Array


def build_process(vectors: Float32Array, settings: FederatedSettings) -> tff.learning.templates.LearningProcess:
    """Returns the learning process; running it needs an execution context (`execution.execute_on`).

    Call it before making Keras models that are to be used afterwards: TFF builds its model in a graph of TensorFlow 1,
    for which Keras turns the classes of all existing layers into those of that time, until a new one is made.

    Args:
      vectors: `[num_items + 1, dim]` float32, row 0 zero.
      settings: Of the tower, its local training and the rounds.
    """
    return tff.learning.algorithms.build_weighted_fed_avg(
        model_builder(vectors, settings.device),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(settings.device.learning_rate),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(settings.rounds.server_learning_rate),
        # Reducing over the dataset instantiates and optimises the training step anew for every client: 70 ms each.
        # A loop over its iterator is part of the graph: 8 ms, and the same result.
        loop_implementation=tff.learning.LoopImplementation.DATASET_ITERATOR,
    )

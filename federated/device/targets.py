"""What a local step wants of the tower: a share for each candidate, not the chosen item alone.

    target = (1 - t - c) chosen + t softmax(cloud / T) + c soon

`chosen` is 1 at the chosen item. The cloud's scores teach what the choice does not tell, the order of the others (soft
targets with a temperature: Distilling the Knowledge in a Neural Network, Hinton et al., 2015; for lists: Ranking
Distillation, Tang and Wang, KDD 2018): a person has few choices, and a tower that is trained on them alone forgets what
the cloud has learned from everybody.

`soon` corrects labels by what the device alone knows: candidates that the person chose themselves a little later were
no negatives. It shares its 1 out among these (after Training Deep Neural Networks on Noisy Labels with Bootstrapping,
Reed et al., ICLR 2015, where a model's belief amends the label; here it is the person's own log). Where there is none,
the chosen item has that share.
"""

from __future__ import annotations

import numpy as np

from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array, Int32Array


def build_target(
    candidates: Int32Array, cloud_scores: Float32Array, chosen: Int32Array, settings: DeviceSettings
) -> Float32Array:
    """Returns the share that each candidate should have, `[num_candidates]` float32; together 1.

    Args:
      candidates: `[num_candidates]` int32, among them the chosen item.
      cloud_scores: `[num_candidates]` float32, standardised.
      chosen: `[num]` int32, the chosen item and what the person chose after it, in the order of time.
      settings: Of local training.
    """
    target = (candidates == chosen[0]).astype(np.float32)
    soon = np.isin(candidates, chosen[1 : 1 + settings.correction_window]) & (target == 0)
    if settings.correction_share and soon.any():
        target += settings.correction_share * (soon / soon.sum() - target)
    if settings.teacher_share:
        target += settings.teacher_share * (_soften(cloud_scores / settings.teacher_temperature) - target)
    return target.astype(np.float32)


def _soften(scores: Float32Array) -> Float32Array:
    odds: Float32Array = np.exp(scores - scores.max())
    return odds / odds.sum()

"""Rounds over simulated devices: the only room that imports TensorFlow Federated, and only inside its modules."""

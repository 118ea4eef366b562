"""Federated algorithms over packed cohorts, one file each. Heavy imports stay inside the modules."""

"""Runs exported towers with LiteRT, and does nothing else."""

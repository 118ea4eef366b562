"""Metrics per user and per device tier, with bootstrap intervals."""

"""Packed cohorts: one TFF client carries many people. Heavy imports stay inside the modules."""

"""Strict federation: what the server learns is sums over devices, and nothing of a single one."""

"""Retrieve, rank, re-rank with exported towers: one code for the server, the device and the evaluation."""

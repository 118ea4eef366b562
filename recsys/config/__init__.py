"""Typed settings of each side, read from TOML; unknown keys are refused.

One commented TOML per side lies beside its code (`pipelines/cloud.toml`, `federated/federated.toml`,
`serving/serving.toml`, `data/world.toml`); a test loads each and compares it with the defaults here.
"""

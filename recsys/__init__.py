"""The shared ground of both sides: contracts, features, metrics, index, runtime, exchange, storage, models."""

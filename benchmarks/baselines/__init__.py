"""Simple strong models, one a module, all behind `Recommender`."""

"""The training stages: fit the retrieval model and the ranker on prepared examples."""

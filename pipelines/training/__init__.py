"""The training stage: fits the retrieval model and the ranker on prepared examples."""

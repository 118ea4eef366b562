"""The dataset catalogue as code: readers, the synthetic world, temporal splits and ingest."""

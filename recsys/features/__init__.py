"""Raw events to model inputs: the same code in the pipeline, on the device and on the server."""

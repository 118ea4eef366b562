"""The service: candidates, re-ranking, embedding sync and device models over HTTP. No TensorFlow in the process."""

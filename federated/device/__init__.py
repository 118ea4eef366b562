"""One person's device: private log, vector cache, re-ranking and local examples. Imports nothing heavy by itself."""

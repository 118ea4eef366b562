"""The towers and the ranker (Keras), their training and their export. Imports nothing heavy by itself."""

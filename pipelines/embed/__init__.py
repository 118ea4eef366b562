"""The catalogue becomes vectors."""

"""The feature-level exchange protocol, used by both ends."""

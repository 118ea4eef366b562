"""The consented log becomes examples: validate, deduplicate, split by time, count, write."""

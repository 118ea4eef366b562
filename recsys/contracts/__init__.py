"""Frozen types that the sides exchange; each states its law. Depends on numpy and pyarrow alone."""

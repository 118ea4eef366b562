"""Laws that every implementation of a seam must pass, as mixins of test classes."""

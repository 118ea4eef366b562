"""One module per group of endpoints; each offers a `router`."""

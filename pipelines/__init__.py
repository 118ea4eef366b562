"""Jobs that turn a consented log into a published bundle. Importing this package imports nothing heavy."""

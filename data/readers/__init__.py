"""One reader per family of datasets, each for the archives' own layouts and the repackaged ones."""

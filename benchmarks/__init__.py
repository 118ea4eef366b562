"""What measures: each benchmark is a function of a workspace, and a command of `tandem bench`."""

"""Federation: the device, and the simulation of many of them. Importing this package imports nothing heavy."""

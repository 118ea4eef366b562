"""`tandem bench`: measurements, one file for each command."""

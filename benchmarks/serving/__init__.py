"""The service under load: open-loop arrivals, percentiles, and the floor of its own framework."""

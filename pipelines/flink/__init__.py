"""Running the Beam stages on a Flink cluster, through Beam's portable runner."""

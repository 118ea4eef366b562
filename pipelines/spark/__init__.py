"""Running the Beam stages on Spark, through Beam's portable runner."""

"""The parts of the synthetic world: its catalogue, its people, its rooms and what people do."""

"""What people keep of an evaluation: one JSON file and one self-contained page."""

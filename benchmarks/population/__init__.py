"""A population that is drawn: many devices, of which a round wakes a few."""

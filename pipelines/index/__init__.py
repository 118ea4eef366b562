"""The vectors become a candidate index, measured before it may be published."""

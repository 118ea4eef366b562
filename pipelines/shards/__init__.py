"""The devices' shards: who holds what, one file for some 512 people."""

"""Nearest-neighbour indexes behind one interface; FAISS is imported by one file only."""

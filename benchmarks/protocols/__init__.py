"""Published protocols, one a module: what models may learn from, and what they are asked."""

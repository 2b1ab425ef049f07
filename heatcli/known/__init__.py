"""Public models that are known by name and checksum: their facts, their labels, and the cache that holds them."""

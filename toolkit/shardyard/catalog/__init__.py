"""Base images, registries and instance types: data files with their provenance, and look-ups in them."""

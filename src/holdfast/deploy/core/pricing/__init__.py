"""One module per family of platforms: which quantities it bills."""

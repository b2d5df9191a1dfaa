"""Models that train a network for each level, besides HUP."""

"""Models that count: neighbours, factors and vectors, fitted in one go."""

"""What the columns of a table seem to mean: a mapping to begin with."""

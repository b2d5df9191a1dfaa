"""What models read: events, session prefixes as ragged tensors, runs, and the steps of every level."""

"""Live profiles: what is remembered of a user, and how one more micro-behavior changes it."""

"""Pages for people: the report of an experiment, and what a model looked at in a session."""

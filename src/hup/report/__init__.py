"""Pages for people: the report of an experiment, and the case study of a session."""

"""HUP: the pyramid of profiles, and what is recommended from it."""

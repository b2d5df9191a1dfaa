"""Recommenders: HUP, and what it is compared with."""

"""Mappings of well-known public logs, one TOML file each."""

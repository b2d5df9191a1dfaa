"""Configurations that come with HUP, one TOML file each."""

"""Recommenders: HUP and, one file each, what it is compared with."""

from hup.models.hup import load

__all__ = ["load"]

"""Recommenders: HUP and, one file each, what it is compared with."""

from hup.models.kinds import load, model_class

__all__ = ["load", "model_class"]

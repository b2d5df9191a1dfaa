"""Kernels in C++, compiled on first use where a compiler is there; everything has a slower twin in Python without."""

from hup.native.library import load

__all__ = ["load"]

"""Candidate retrieval: exact nearest neighbours."""

from hup.retrieval.neighbors import NeighborLists, nearest_neighbors

__all__ = ["NeighborLists", "nearest_neighbors"]

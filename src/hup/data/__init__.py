"""Logs in, dataset folders out: readers, preparation, and the opened dataset."""

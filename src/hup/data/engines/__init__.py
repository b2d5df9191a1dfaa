"""Engines that run the Ibis expressions of preparation: DuckDB in this process, Spark on a cluster."""

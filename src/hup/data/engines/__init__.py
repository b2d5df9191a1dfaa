"""The engine of preparation, DuckDB in this process, and what reads tables for it: here, or by Spark on a cluster."""

"""Figures for Prometheus, of all workers together."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from hup.serving.metrics_folder import FOLDER

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """Figures of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "hup_requests", "Requests that were answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "hup_request_seconds", "Time to answer.", ("route",), registry=self._registry, buckets=_SECONDS
        )
        self._events = Counter(
            "hup_events", "Events that were posted, by verdict.", ("status",), registry=self._registry
        )
        self._loaded = Gauge(
            "hup_model_loaded_timestamp_seconds",
            "When the model that answers was loaded.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def judged(self, status: str, n: int) -> None:
        """Count posted events of a verdict."""
        self._events.labels(status).inc(n)

    def loaded(self, moment: float) -> None:
        """Note when the model was loaded."""
        self._loaded.set(moment)

    def text(self) -> bytes:
        """Give all figures as Prometheus reads them."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has none
        return generate_latest(registry)

"""Where the workers of a service put their figures, which is to be known before Prometheus' library is imported."""

from __future__ import annotations

from typing import Final

#: Environment variable with the folder.
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

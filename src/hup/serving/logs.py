"""Log lines as JSON on standard error, one a request; who a user is stands in lines of level debug alone."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Final

import msgspec

LOGGER: Final = "hup.serving"

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: time, level, message, and all that the call gave by ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        told = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _OWN},
        }
        if record.exc_info:
            told["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return msgspec.json.encode(told, enc_hook=str).decode()


def log_to_stderr(*, verbose: bool) -> None:
    """Write this service's log, and warnings of the libraries that it stands on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in ((LOGGER, logging.DEBUG if verbose else logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)

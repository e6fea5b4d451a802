"""Structured logs on standard error: one JSON object, or one line for people, per entry."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, TextIO

import structlog

from shared.formats.text import escape_controls
from shared.runtime.config import Settings

# Without local variables: those are passwords, tokens, and the contents of files.
_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def configure(settings: Settings) -> None:
    """Sets up logging for the process; the request id of a call is on each of its entries."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _escape_values,
    ]
    is_terminal = sys.stderr.isatty()
    if settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal):
        shared += [
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            structlog.processors.JSONRenderer(),
        ]
    else:
        shared.append(
            structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=_write_traceback)
        )
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; only what is wrong concerns the operator.
    handler = _Entries()
    handler.addFilter(_without_values)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])


def _without_values(record: logging.LogRecord) -> bool:
    """Takes the values out of what gRPC logs: they may be metadata, and so a token."""
    if record.name.startswith("grpc"):
        record.args = None
        record.exc_info = None
        record.exc_text = None
    return True


class _Entries(logging.Handler):
    """Makes what libraries log entries of the same form as ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the entry, with the name of the library's logger."""
        try:
            structlog.get_logger().log(
                record.levelno,
                record.getMessage(),
                logger=record.name,
                exc_info=record.exc_info or None,
            )
        except (TypeError, ValueError, KeyError):  # the text does not take its values
            self.handleError(record)


def _escape_values(_logger: object, _method: str, entry: Any) -> Any:
    """Takes out of the values of an entry what a terminal would obey: they quote what clients send."""
    return {
        key: escape_controls(value) if isinstance(value, str) else value
        for key, value in entry.items()
    }


def _write_traceback(stream: TextIO, exc_info: Any) -> None:
    buffer = io.StringIO()
    structlog.dev.plain_traceback(buffer, exc_info)
    stream.write(_escape_lines(buffer.getvalue()))


def _escape_lines(text: str) -> str:
    return "\n".join(map(escape_controls, text.split("\n")))

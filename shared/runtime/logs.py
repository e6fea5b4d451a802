"""Structured logs on standard error: one JSON object, or one line for people, per entry."""

from __future__ import annotations

import logging
import sys

import structlog

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
    ]
    is_terminal = sys.stderr.isatty()
    if settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal):
        shared += [
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            structlog.processors.JSONRenderer(),
        ]
    else:
        shared.append(
            structlog.dev.ConsoleRenderer(
                colors=is_terminal, exception_formatter=structlog.dev.plain_traceback
            )
        )
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; only what is wrong concerns the operator.
    logging.basicConfig(
        level=max(level, logging.WARNING), format="%(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_values)


def _without_values(record: logging.LogRecord) -> bool:
    """Takes the values out of what gRPC logs: they may be metadata, and so a token."""
    if record.name.startswith("grpc"):
        record.args = None
        record.exc_info = None
        record.exc_text = None
    return True

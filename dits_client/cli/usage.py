"""`dits usage`."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from dits.repo.v1 import usage_service_pb2 as pb

from dits_client.cli.folder import format_bytes
from dits_client.cli.session import connect
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient

_HEADINGS = (
    "from",
    "requests",
    "received",
    "sent",
    "pushes",
    "pulls",
    "contributors",
    "logical",
    "stored",
    "apportioned",
)


def handle_usage(arguments: Namespace) -> None:
    """Show the usage of the account, a repository or an organisation."""
    with connect() as (client, _):
        subject = RepositoryClient(client, arguments.repository) if arguments.repository else client
        if arguments.csv:
            _export(subject, arguments)
            return
        request = pb.GetUsageRequest(
            repository=arguments.repository,
            organization=arguments.organization,
            first_day=arguments.first_day,
            last_day=arguments.last_day,
            granularity=pb.Granularity.Value(f"GRANULARITY_{arguments.by.upper()}"),
        )
        usage = subject.call(subject.usage.GetUsage, request)
    if arguments.json:
        periods = [_to_json(period) for period in usage.periods]
        print(json.dumps({"periods": periods, "total": _to_json(usage.total)}))
    else:
        _print_table(usage)


def _export(subject: Client | RepositoryClient, arguments: Namespace) -> None:
    request = pb.ExportUsageRequest(
        repository=arguments.repository,
        organization=arguments.organization,
        first_day=arguments.first_day,
        last_day=arguments.last_day,
    )
    call = subject.usage.ExportUsage(request, metadata=subject.metadata)
    for part in subject.read_stream(call):
        # Lines of CSV end in CR LF everywhere.
        sys.stdout.buffer.write(part.csv)
    sys.stdout.buffer.flush()


def _to_json(period: pb.UsagePeriod) -> dict[str, Any]:
    """Return a period with all figures as numbers, zeros too."""
    fields = period.figures.DESCRIPTOR.fields
    figures = {field.name: getattr(period.figures, field.name) for field in fields}
    return {"first_day": period.first_day, "last_day": period.last_day, **figures}


def _print_table(usage: pb.GetUsageResponse) -> None:
    busy = [period for period in usage.periods if _has_usage(period.figures)]
    rows = [_HEADINGS, *(_make_row(period.first_day, period.figures) for period in busy)]
    rows.append(_make_row("total", usage.total.figures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join((first.ljust(widths[0]), *cells)))


def _has_usage(figures: pb.UsageFigures) -> bool:
    """Return whether any figure is not zero."""
    return any(field.name != "storage_day" for field, _ in figures.ListFields())


def _make_row(name: str, figures: pb.UsageFigures) -> Sequence[str]:
    storage = (figures.logical_bytes, figures.stored_bytes, figures.apportioned_bytes)
    return (
        name,
        str(figures.requests),
        format_bytes(figures.received_bytes),
        format_bytes(figures.sent_bytes),
        str(figures.pushes),
        str(figures.pulls),
        str(figures.contributors),
        # Not measured is not nothing.
        *(format_bytes(size) if figures.storage_day else "-" for size in storage),
    )

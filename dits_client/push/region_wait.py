"""Waits until the server has copied the chunks of a push into as many regions as the repository wants."""

import time
from collections.abc import Callable
from typing import TypeVar

from dits.common.v1.error_reason_pb2 import ERROR_REASON_REGIONS_MISSING

from dits_client.errors import RemoteError
from dits_client.progress import Progress
from dits_client.terminal import format_count

# Without progress for so long, the push is given up; nothing has to be uploaded again.
LONGEST_STANDSTILL = 120.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

Answer = TypeVar("Answer")


def send_when_copied(send: Callable[[], Answer], progress: Progress) -> Answer:
    """Return what `send` returns, which is tried again as long as the server is copying chunks."""
    least, pause, moved_at = -1, FIRST_PAUSE, time.monotonic()
    while True:
        try:
            return send()
        except RemoteError as error:
            if error.reason != ERROR_REASON_REGIONS_MISSING:
                raise
            left, now = int(error.metadata.get("count", "0")), time.monotonic()
            if least < 0:
                regions = error.metadata.get("min_regions", "")
                chunks = format_count(left, "chunk")
                progress.warn(f"waiting for copies of {chunks} in {regions} regions")
            if least < 0 or left < least:
                least, moved_at = left, now
            elif now - moved_at > LONGEST_STANDSTILL:
                progress.warn(
                    "no copy was made for a while: is a region away? `dits regions` tells where chunks wait"
                )
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)

"""Times of commits: signed with the machine's offset, shown with the signer's."""

import time
from collections.abc import Iterator

import pytest
from dits.repo.v1.manifest_pb2 import Signer
from google.protobuf.timestamp_pb2 import Timestamp

from dits_client.cli import table
from dits_client.cli.history import format_time
from dits_client.push.report import Author
from shared.formats.commits import MAX_TIME_US, MIN_TIME_US


@pytest.fixture(params=[("UTC0", 0), ("IST-5:30", 330), ("NST3:30", -210), ("X-0:00:30", 0)])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The offset, in minutes, of a time zone that the machine is in."""
    name, offset = request.param
    monkeypatch.setenv("TZ", name)
    time.tzset()
    yield offset
    monkeypatch.undo()
    time.tzset()


def test_an_author_signs_with_the_offset_of_the_machine(zone: int) -> None:
    before = time.time_ns() // 1000
    signer = Author("", "ada@example.org").sign()
    assert signer.offset_minutes == zone
    assert before <= signer.time_us <= time.time_ns() // 1000
    assert (signer.name, signer.email) == ("", "ada@example.org")


@pytest.mark.parametrize(
    ("signer", "shown"),
    [
        (Signer(time_us=0), "1970-01-01 00:00 +0000"),
        (Signer(time_us=0, offset_minutes=330), "1970-01-01 05:30 +0530"),
        (Signer(time_us=0, offset_minutes=-1439), "1969-12-31 00:01 -2359"),
        (Signer(time_us=MIN_TIME_US), "0001-01-01 00:00 +0000"),
        (Signer(time_us=MAX_TIME_US, offset_minutes=60), "9999-12-31 23:59 +0000"),
        (Signer(time_us=MAX_TIME_US, offset_minutes=-60), "9999-12-31 22:59 -0100"),
    ],
)
def test_a_time_is_shown_by_the_signers_clock(signer: Signer, shown: str) -> None:
    assert format_time(signer) == shown


def test_a_time_of_the_server_is_shown_with_all_digits_of_its_year() -> None:
    moment = Timestamp()
    moment.FromJsonString("0001-01-01T00:00:00Z")
    assert table.format_time(moment) == "0001-01-01 00:00 UTC"


def test_every_time_that_a_commit_may_have_can_be_shown() -> None:
    for offset in (-1439, 0, 1439):
        assert format_time(Signer(time_us=MIN_TIME_US, offset_minutes=offset))

"""Codes of authenticators and recovery codes, without a server."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlparse
from uuid import UUID, uuid4

import pytest

from services.auth.credentials import recovery_codes, throttles, totp

# RFC 6238, appendix B, SHA-1: the last six of its eight digits.
SECRET = b"12345678901234567890"
VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    step = seconds // 30
    assert totp.make_code(SECRET, step) == code
    assert totp.find_step(SECRET, code, seconds) == step


def test_a_clock_may_be_one_step_wrong() -> None:
    now = 1_700_000_000.0
    step = int(now // 30)
    found = [
        totp.find_step(SECRET, totp.make_code(SECRET, step + off), now) for off in range(-2, 3)
    ]
    assert found == [None, step - 1, step, step + 1, None]


def test_what_has_the_form_of_a_code() -> None:
    assert totp.is_code("012345")
    for text in ("", "12345", "1234567", "12345a", "１２３４５６", "12345\n", " 12345", "-12345"):  # noqa: RUF001
        assert not totp.is_code(text)


def test_the_uri_says_all_that_an_authenticator_needs() -> None:
    secret = totp.make_secret()
    assert len(secret) == 20
    uri = urlparse(totp.make_uri(secret, "ada-l"))
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/dits:ada-l")
    assert parse_qs(uri.query) == {
        "secret": [base64.b32encode(secret).decode()],
        "issuer": ["dits"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }


def test_recovery_codes_are_taken_as_people_type_them() -> None:
    codes = recovery_codes.make_codes()
    assert len(set(codes)) == 10
    for code in codes:
        folded = recovery_codes.fold_code(code)
        assert folded is not None
        assert len(folded) == 16
        assert recovery_codes.fold_code(f" {code.upper().replace('-', ' ')} ") == folded
        assert recovery_codes.hash_code(code) == recovery_codes.hash_code(folded)
    for text in ("", "abcd-efgh-jkmn", "abcd-efgh-jkmn-pqrs-t", "abcd-efgh-jkmn-pqr0"):
        assert recovery_codes.fold_code(text) is None


def test_where_guesses_are_counted() -> None:
    user, device = uuid4(), uuid4()

    def names(address: str | None, device_id: UUID | None, *, is_known: bool) -> list[str]:
        found = throttles.mfa_buckets(user, address, device_id=device_id, is_known=is_known)
        return [bucket.name for bucket in found]

    strangers = f"mfa {user} strangers"
    network = "192.0.2.0/24"
    assert names("192.0.2.7", device, is_known=True) == [f"mfa device {device}"]
    assert names("192.0.2.7", None, is_known=True) == [f"mfa {user} from {network}"]
    assert names("192.0.2.7", None, is_known=False) == [f"mfa {user} from {network}", strangers]
    assert names(None, None, is_known=False) == [f"mfa {user}", strangers]

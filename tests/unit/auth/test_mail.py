"""Texts and headers of mails, and the signed texts for unsubscribing."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.auth.mail.message import MAX_SUBJECT, AddressError, MailHeaders, build_message
from services.auth.mail.parameters import MailParameters, unseal_parameters
from services.auth.mail.send_mail import make_mail
from services.auth.mail.templates import TEMPLATES, MailTexts, render_mail
from services.auth.mail.unsubscribe import read_token, write_token
from services.auth.notifications.mails import list_notifications
from shared.db.pool import Row
from shared.errors import DomainError
from shared.jobs.queue import encode_payload
from shared.runtime.server_key import ServerKey

KEY = ServerKey(b"k" * 32)
ATTACK = "x\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script>"
ITEM = {"title": ATTACK, "message": ATTACK, "link": f"/{ATTACK}"}


def parameters_of(name: str, value: str) -> MailParameters:
    names = ["title", "more", "link"]
    if name == "invitation":
        names = ["inviter", "organization", "role", "link", "token", "expires"]
    elif name != "notifications":
        names = ["username", "link", "token", "expires", "new_email", "reason", "until", "what"]
    return MailParameters(dict.fromkeys(names, value), [ITEM])


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_parameter_breaks_out_of_a_header_or_of_html(name: str) -> None:
    unsubscribe = {"preference": ATTACK, "how": ATTACK}
    texts = render_mail(name, parameters_of(name, ATTACK), unsubscribe)
    assert "<script>" not in texts.html
    assert "&lt;script&gt;" in texts.html
    message = build_message(MailHeaders("dits@example.com", "ada@example.com", "1"), texts)
    assert message["Bcc"] is None
    head = message.as_bytes().partition(b"\r\n\r\n")[0]
    assert b"\nBcc" not in head
    assert message["To"] == "ada@example.com"


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_any_subject_is_one_line(subject: str) -> None:
    headers = MailHeaders("dits@example.com", "ada@example.com", "1")
    message = build_message(headers, MailTexts(subject, "t", "h"))
    assert len(message["Subject"]) <= MAX_SUBJECT
    assert message["Subject"].isprintable()
    head = message.as_bytes().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert all(b":" in line or line.startswith(b" ") for line in head)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "a@b, c@d",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\n",
        "Ada <ada@example.com>",
        "<ada@example.com>",
        "a b@example.com",
    ],
)
def test_what_is_not_one_address_gets_no_mail(address: str) -> None:
    with pytest.raises(AddressError):
        build_message(MailHeaders("dits@example.com", address, "1"), MailTexts("s", "t", "h"))


def test_links_are_links_in_html() -> None:
    item = {"title": "t", "message": "a\n\nb", "link": "https://example.com/a&b"}
    texts = render_mail("notifications", MailParameters({"title": "t", "more": ""}, [item]), None)
    assert '<a href="https://example.com/a&amp;b">https://example.com/a&amp;b</a>' in texts.html
    assert "a<br>\n<br>\nb" in texts.html
    assert "* t\n  a\n\n  b\n  https://example.com/a&b" in texts.text


def test_parameters_are_sealed() -> None:
    parameters = MailParameters({"link": "secret"}, [{"title": "ü"}])
    sealed = parameters.seal(KEY)
    assert b"secret" not in sealed
    assert unseal_parameters(KEY, sealed) == parameters
    assert unseal_parameters(ServerKey(b"o" * 32), sealed) is None


@pytest.mark.parametrize("letter", ['"', "\n", "x", "\N{GRINNING FACE}"])
def test_any_notifications_fit_into_a_job(letter: str) -> None:
    """One user whose digest does not would keep a hundred others from theirs."""
    row = {"title": letter * 1_500, "message": letter * 500, "link": "/a/b"}
    for count in (1, 50):
        parameters = list_notifications([cast("Row", row)] * count, count)
        encode_payload(make_mail(KEY, "notifications", uuid4(), parameters, preference="digest"))


def test_tokens_are_signed() -> None:
    user_id = uuid4()
    token = write_token(KEY, user_id, "email_on_mention")
    assert read_token(KEY, token) == (user_id, "email_on_mention")
    other = write_token(KEY, uuid4(), "digest")
    forged = [token[:-2], token[::-1], "", "x", "é", "=" * 9, token[:40] + other[40:], token + "A"]
    for text in (*forged, write_token(ServerKey(b"o" * 32), user_id, "digest")):
        with pytest.raises(DomainError):
            read_token(KEY, text)

"""The closed list of mails, and their texts, in plain text and HTML.

A template NAME has the files NAME.txt and NAME.html, in which `$name` stands for a parameter. Parameters
are text: in HTML they are escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from services.auth.mail.parameters import MailParameters

# Where a line with something in it begins.
_LINE_START = re.compile(r"\n(?=[^\n])")
_FOLDER = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """One kind of mail.

    Attributes:
        subject: with `$name` for parameters.
        is_verified_only: it goes to verified addresses alone.
        is_link_logged: without a mail server, the log shows the parameter `link` to the operator.
    """

    subject: str
    is_verified_only: bool = True
    is_link_logged: bool = False


TEMPLATES: dict[str, MailTemplate] = {
    "account_deleted": MailTemplate("Your account was deleted", is_verified_only=False),
    "account_suspended": MailTemplate("Your account is suspended", is_verified_only=False),
    "change_email": MailTemplate(
        "Change of your e-mail address", is_verified_only=False, is_link_logged=True
    ),
    "email_changed": MailTemplate("Your e-mail address was changed", is_verified_only=False),
    "invitation": MailTemplate(
        "$inviter invites you to $organization", is_verified_only=False, is_link_logged=True
    ),
    "notifications": MailTemplate("$title"),
    "password_changed": MailTemplate("Your password was changed", is_verified_only=False),
    "reset_password": MailTemplate(
        "Set a new password", is_verified_only=False, is_link_logged=True
    ),
    "second_factor": MailTemplate(
        "The second factor of your account: $what", is_verified_only=False
    ),
    "verify_email": MailTemplate(
        "Verify your e-mail address", is_verified_only=False, is_link_logged=True
    ),
}


@dataclass(frozen=True, slots=True)
class MailTexts:
    """What a mail says."""

    subject: str
    text: str
    html: str


def render_mail(
    name: str, parameters: MailParameters, unsubscribe: Mapping[str, str] | None
) -> MailTexts:
    """Returns the texts of a mail; `unsubscribe` are the parameters of its foot, if it has one."""
    # The option that names the server in commands.
    values = {"server": "", **parameters.values}
    subject = Template(TEMPLATES[name].subject).substitute(values)
    text_items = "".join(_fill("item.txt", _indent(item)) for item in parameters.items)
    html_items = "".join(_fill("item.html", _escape(item)) for item in parameters.items)
    text = _fill(f"{name}.txt", {**values, "items": text_items})
    body = _fill(f"{name}.html", {**_escape(values), "items": html_items})
    footer = ""
    if unsubscribe is not None:
        text += "\n" + _fill("unsubscribe.txt", unsubscribe)
        footer = _fill("unsubscribe.html", _escape(unsubscribe))
    frame = {"subject": html.escape(subject), "body": body, "footer": footer}
    return MailTexts(subject, text, _fill("frame.html", frame))


def _fill(file: str, values: Mapping[str, str]) -> str:
    return _read_template(file).substitute(values)


@cache
def _read_template(file: str) -> Template:
    return Template((_FOLDER / file).read_text(encoding="utf-8"))


def _indent(values: Mapping[str, str]) -> dict[str, str]:
    return {name: _LINE_START.sub("\n  ", value) for name, value in values.items()}


def _escape(values: Mapping[str, str]) -> dict[str, str]:
    """Returns the values as HTML; what is a web address becomes a link."""
    return {name: _escape_value(value) for name, value in values.items()}


def _escape_value(value: str) -> str:
    escaped = html.escape(value)
    if value.startswith(("https://", "http://")) and not value.split()[1:]:
        return f'<a href="{escaped}">{escaped}</a>'
    return escaped.replace("\n", "<br>\n")

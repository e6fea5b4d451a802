"""Settings of the mails that auth sends."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, PositiveFloat

from shared.runtime.setting_types import Port


class MailSettings(BaseModel):
    """The mail server, and what mails say of where this server is."""

    smtp_host: str | None = Field(
        None, description="mail server of auth; default: none, mails are only logged"
    )
    smtp_port: Port = Field(587, description="port of the mail server")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="how the mail server is spoken to: starttls, tls from the start, or none",
    )
    smtp_username: str | None = Field(None, description="login at the mail server; default: none")
    smtp_password: str | None = Field(None, repr=False, description="password of that login")
    smtp_from: str | None = Field(
        None,
        pattern=r"^[^\s@<>,;:\"]+@[A-Za-z0-9.-]+$",
        description="address that mails come from; default: dits at the mail server",
    )
    smtp_seconds: PositiveFloat = Field(
        30.0, description="how long the mail server may take for an answer, seconds"
    )
    website_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s<>\"]{0,300}[^\s<>\"/]$",
        description="address of the website, without a slash at the end; links in mails begin with it, "
        "and its /unsubscribe calls Unsubscribe",
    )
    login_address: str | None = Field(
        None,
        pattern=r"^(https?://)?[A-Za-z0-9.:\[\]-]{1,300}$",
        description="what people give to `dits login`; commands in mails name it as their server",
    )

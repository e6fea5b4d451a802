"""People who work through mails, the client and channels, and a record of all that must stay secret."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from prometheus_client import generate_latest
from structlog.typing import EventDict

from dits_client.cli.credentials import Credentials
from shared.runtime.metrics import REGISTRY
from tests.support.api import Account, Api, read_error
from tests.support.client import Run
from tests.support.mail import MailSink
from tests.support.mfa import Guarded, enroll
from tests.support.waiting import PATIENCE_SECONDS

Call = Callable[[], Awaitable[Any]]

_TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1"""
_LINK = re.compile(r"https://dits\.example\.com/\S+/(\S+)")


@dataclass(slots=True)
class Day:
    """A day of several people: what they keep secret, and what the services said and wrote.

    Attributes:
        secrets: by what they are.
        said: texts of refused calls and failed commands; entries: those of the log.
    """

    api: Api
    run: Run
    sink: MailSink
    root: Path
    secrets: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)

    def __call__(self, _logger: object, _method: str, entry: EventDict) -> EventDict:
        """Keeps an entry of the log, as one of its processors."""
        self.entries.append(str(entry))
        return entry

    def keep(self, **secrets: str) -> None:
        """Remembers secrets."""
        self.secrets |= {f"{name} {len(self.secrets) + 1}": text for name, text in secrets.items()}

    async def read_mail(self, address: str, subject: str) -> str:
        """Returns the token of the first mail to an address with such a subject; waits 20 s for it."""
        while True:
            for mail in self.sink.mails:
                if mail["To"] == address and re.search(subject, mail["Subject"]):
                    body = mail.get_body(("plain",))
                    assert body is not None
                    token = _LINK.findall(body.get_content())[0]
                    self.keep(mailed=token)
                    return str(token)
            await self.sink.wait_for(len(self.sink.mails) + 1)

    async def refuse(self, reason: str, *calls: Call) -> None:
        """Wants calls to be refused for a reason."""
        for call in calls:
            assert await self._ask(call) == reason

    async def refuse_soon(self, reason: str, *calls: Call) -> None:
        """Wants calls to be refused for a reason, at once or soon: services keep answers of auth."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            for call in calls:
                while (told := await self._ask(call)) == "":
                    pass
                assert told == reason

    async def _ask(self, call: Call) -> str:
        """Returns why a call is refused, and keeps the error; empty if it is not."""
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            told = read_error(error)
            self.said += [
                str(told),
                str(error.trailing_metadata()),
                str(error.debug_error_string()),
            ]
            return told.reason
        return ""

    async def find_leaks(self) -> dict[str, list[str]]:
        """Returns where secrets stand, by what they are: in errors, the log, metrics or tables."""
        places = {
            "errors": "\n".join(self.said),
            "log": "\n".join(self.entries),
            "metrics": generate_latest(REGISTRY).decode(),
        }
        tables = [row["name"] for row in await self.api.fetch(_TABLES)]
        # Bytes are shown as hexadecimal digits.
        looks = " UNION ALL ".join(
            f"""SELECT DISTINCT '{table}' AS place, n FROM {table} t, s
                WHERE strpos(t::text, secret) > 0 OR strpos(t::text, in_hex) > 0"""
            for table in tables
        )
        names, secrets = list(self.secrets), list(self.secrets.values())
        rows = await self.api.fetch(
            f"""WITH s AS MATERIALIZED (
                    SELECT n, secret, encode(convert_to(secret, 'UTF8'), 'hex') AS in_hex
                    FROM unnest($1::text[]) WITH ORDINALITY AS u (secret, n)) {looks}""",
            secrets,
        )
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(names[row["n"] - 1], []).append(row["place"])
        for name, secret in self.secrets.items():
            for place, text in places.items():
                if secret in text:
                    found.setdefault(name, []).append(place)
        return found


@dataclass(slots=True)
class Desk:
    """Somebody with a password, a machine, and perhaps an authenticator."""

    day: Day
    name: str
    guarded: Guarded | None = None

    def __post_init__(self) -> None:
        self.home.mkdir()
        self.day.keep(password=self.password)

    @property
    def home(self) -> Path:
        """Folder of the user."""
        return self.day.root / self.name

    @property
    def password(self) -> str:
        """The password of the account."""
        return f"{self.name} has a horse of her own"

    @property
    def email(self) -> str:
        """The address of the account."""
        return f"{self.name}@example.com"

    async def dits(
        self, *arguments: str, fails: bool = False, at: str = "", typed: str = "", token: str = ""
    ) -> str:
        """Runs a command in the user's folder or one `at` it, with the user's login or a token.

        `typed` comes through stdin. Returns what the command said.
        """
        environment = {"DITS_CONFIG_DIR": f"{self.home}/config", "HOME": str(self.home)}
        environment |= {"DITS_PASSWORD": self.password} | ({"DITS_TOKEN": token} if token else {})
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
            patch.chdir(self.home / at)
            told = await self.day.run(*arguments, fails=fails)
        if fails:
            self.day.said.append(told)
        return told

    async def log_in(self, *options: str) -> Account:
        """Opens a session with the client, with a code if need be, and returns the account with it."""
        typed = "" if self.guarded is None else self.guarded.code()
        await self.dits("login", "-u", self.name, "--session", *options, typed=typed)
        if self.guarded is not None:
            await self.guarded.forget_steps()
        return await self.session()

    async def session(self) -> Account:
        """Returns the account with the session of the client."""
        found = Credentials(self.home / "config").get()
        assert found is not None
        self.day.keep(session=found.token)
        query = "SELECT id FROM users WHERE username = $1"
        return Account(
            UUID(str(await self.day.api.value(query, self.name))), self.name, found.token
        )

    async def register(self) -> Account:
        """Creates the account, opens the link in the mail, and logs in."""
        told = await self.dits(
            "login", "--register", "-u", self.name, "--email", self.email, fails=True
        )
        assert "open the link that was mailed" in told
        assert "wrong username or password" in await self.dits("login", "-u", self.name, fails=True)
        token = await self.day.read_mail(self.email, "Verify")
        await self.dits("account", "verify", token)
        assert "not good" in await self.dits("account", "verify", token, fails=True)
        return await self.log_in()

    async def enroll(self, account: Account) -> Guarded:
        """Enrols an authenticator, and remembers its secrets."""
        secret = await enroll(self.day.api, account)
        self.guarded = Guarded(self.day.api, account, secret, [])
        await self.guarded.confirm()
        self.day.keep(totp=base64.b32encode(secret).decode().rstrip("="), totp_hex=secret.hex())
        for code in self.guarded.recovery_codes:
            self.day.keep(recovery_code=code)
        return self.guarded

"""A day in a studio, through mails, the client and channels: who is let in, who is refused, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from dits.auth.v1 import organization_service_pb2 as pb
from dits.auth.v1 import session_service_pb2 as spb
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest
from dits.repo.v1.repository_service_pb2 import UpdateRepositoryRequest

from shared.runtime.config import Settings
from tests.integration.auth.test_notification_mails import settings_for
from tests.support.api import Account, Api
from tests.support.client import Run, write
from tests.support.desks import Day, Desk
from tests.support.mail import MailSink, mail_sink
from tests.support.organizations import Studio
from tests.support.ssh import make_key, needs_ssh
from tests.support.studio_people import People, get_repository

pytestmark = needs_ssh
REQUIRED = pb.OrganizationSettings(require_mfa=True)


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, sink: MailSink) -> Settings:
    return settings_for(
        tmp_path,
        smtp_host="127.0.0.1",
        smtp_port=sink.port,
        smtp_seconds=2,
        verified_logins=True,
    )


@pytest.fixture
def day(api: Api, run: Run, sink: MailSink, home: Path, monkeypatch: pytest.MonkeyPatch) -> Day:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    day = Day(api, run, sink, home)
    *processors, renderer = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors, day, renderer])
    return day


async def _move_in(day: Day) -> People:
    """Ada opens the studio, and invites the others, who join."""
    desks = {name: Desk(day, name) for name in ("ada", "bob", "cyn")}
    at = desks["ada"]
    ada = await at.register()
    # Her second factor counts from the next login on, and each code once.
    guarded = await at.enroll(ada)
    assert "no code was given" in await at.dits("login", "-u", "ada", fails=True)
    used = guarded.code()
    await at.dits("login", "-u", "ada", "--session", typed=used)
    assert "wrong code" in await at.dits("login", "-u", "ada", typed=used, fails=True)
    ada = await at.session()
    await at.dits("org", "create", "studio")
    await at.dits("org", "update", "studio", "--member-permission", "none")
    for name in ("film", "secret"):
        await at.dits("repo", "create", f"studio/{name}", "--no-require-lock")
    accounts = {"ada": ada}
    for name, role in (("bob", "admin"), ("cyn", "member")):
        await at.dits("org", "invite", "studio", f"{name}@example.com", "--role", role)
        accounts[name] = await desks[name].register()
        token = await day.read_mail(desks[name].email, "invites you")
        assert "not found" in await at.dits("org", "accept", token, fails=True)
        told = await desks[name].dits("org", "accept", token)
        assert told == f"You are a member of studio: {role}.\n"
        assert "open no more" in await desks[name].dits("org", "decline", token, fails=True)
    film, secret = [await get_repository(day.api, ada, name) for name in ("film", "secret")]
    request = pb.GetOrganizationRequest(organization="studio")
    made = await day.api.organizations.GetOrganization(request, metadata=ada.auth)
    studio = Studio(day.api, made.organization, accounts)
    return People(day, desks, studio, ada, accounts["bob"], accounts["cyn"], film, secret)


async def _work_in_a_team(people: People) -> None:
    """Cyn sees nothing until a team of hers is let in, and nothing else then."""
    bob, cyn = people.desks["bob"], people.desks["cyn"]
    await people.day.refuse("NOT_FOUND", *people.reads(people.cyn))
    await bob.dits("team", "create", "studio/art")
    await bob.dits("team", "add", "studio/art", "cyn")
    await bob.dits("repo", "grant", "studio/film", "art", "write", "--team")
    write(cyn.home / "film", {"shot": b"1"})
    await cyn.dits("init", "film", "--repository", "studio/film")
    await cyn.dits("push", "-m", "first", at="film")
    await people.day.refuse("NOT_FOUND", *people.reads(people.cyn, people.secret))
    change = UpdateRepositoryRequest(repository=people.film.id)
    change.update_mask.paths.append("description")
    update = people.day.api.repositories.UpdateRepository
    await people.day.refuse("PERMISSION_MISSING", partial(update, change, metadata=people.cyn.auth))
    assert "permission" in await cyn.dits("team", "delete", "studio/art", fails=True)


async def _run_ci(people: People) -> Account:
    """A token that may read one repository reads it, and does nothing else; returns it."""
    day, cyn = people.day, people.desks["cyn"]
    secret = await cyn.dits(
        "token", "create", "ci", "--scope", "repo:read",
        "--repository", "studio/film",
    )  # fmt: skip
    day.keep(token=secret.strip())
    ci = Account(people.cyn.id, "cyn", secret.strip())
    await cyn.dits("clone", "studio/film", "built", token=ci.token)
    write(cyn.home / "built", {"shot": b"broken"})
    assert "scope" in await cyn.dits("push", "-m", "no", at="built", token=ci.token, fails=True)
    assert "not found" in await cyn.dits("clone", "studio/secret", token=ci.token, fails=True)
    await day.refuse("NOT_FOUND", *people.reads(ci, people.secret))
    wanted = CreateTokenRequest(name="more", scopes=["repo:write"], request_id=str(uuid4()))
    await day.refuse(
        "SCOPE_MISSING",
        partial(day.api.tokens.CreateToken, wanted, metadata=ci.auth),
        partial(day.api.accounts.GetMe, GetMeRequest(), metadata=ci.auth),
    )
    return ci


async def _log_in_by_key(people: People) -> Account:
    """Bob's key opens a session; when its sudo is over, it needs a proof for a token, which is returned."""
    day, bob = people.day, people.desks["bob"]
    key = make_key("ed25519", 77)
    for line in key.read_text().splitlines()[1:-1]:
        day.keep(private_key=line)
    told = await bob.dits("login", "-u", "bob", "--ssh", "--key", str(key), fails=True)
    assert 'opens the account "bob"' in told
    await bob.dits("ssh-key", "add", str(key))
    assert "private key" in await bob.dits("ssh-key", "add", str(_disguise(bob, key)), fails=True)
    people.bob = await bob.log_in("--ssh", "--key", str(key))
    await day.api.fetch("UPDATE sessions SET sudo_until = now() WHERE user_id = $1", people.bob.id)
    wanted = CreateTokenRequest(name="x", scopes=["repo:read"])
    auth, make = people.bob.auth, day.api.tokens.CreateToken
    await day.refuse("SUDO_REQUIRED", partial(make, wanted, metadata=auth))
    elevate = day.api.sessions.Elevate
    wrong, right = (spb.ElevateRequest(password=p) for p in ("not her horse", bob.password))
    await day.refuse("UNAUTHENTICATED", partial(elevate, wrong, metadata=auth))
    await day.refuse("SUDO_REQUIRED", partial(make, wanted, metadata=auth))
    await elevate(right, metadata=auth)
    made = await make(wanted, metadata=auth)
    day.keep(token=made.secret)
    return Account(people.bob.id, "bob", made.secret)


def _disguise(desk: Desk, key: Path) -> Path:
    """Returns a private key under the name of a public one."""
    path = desk.home / "mixed.pub"
    path.write_text(key.read_text())
    return path


async def _require_second_factors(people: People, token: Account) -> None:
    """Without one, nobody has a right there, whatever the credential; with one, all is as before."""
    day, studio = people.day, people.studio
    await studio.update(people.ada, "settings.require_mfa", settings=REQUIRED)
    # No service has an answer for this session yet, nor for bob's.
    people.cyn = await people.desks["cyn"].log_in()
    for who in (people.bob, people.cyn, token):
        await day.refuse("MFA_REQUIRED", *people.reads(who))
    await day.refuse("MFA_REQUIRED", partial(studio.invite, people.bob, "eve@example.com"))
    write(people.desks["cyn"].home / "film", {"shot": b"2"})
    told = await people.desks["cyn"].dits("push", "-m", "second", at="film", fails=True)
    assert "requires a second factor" in told
    for name, account in (("bob", people.bob), ("cyn", people.cyn)):
        await people.desks[name].enroll(account)
    await people.desks["cyn"].dits("push", "-m", "second", at="film")
    await people.read_film(people.bob, people.cyn, token)


async def _part(people: People, ci: Account) -> None:
    """A demoted administrator administers no more; whom the studio has removed sees nothing of it."""
    day, studio, ada, cyn = people.day, people.studio, people.desks["ada"], people.desks["cyn"]
    invitation = await studio.invite(people.bob, "eve@example.com")
    await ada.dits("org", "role", "studio", "bob", "member")
    await day.refuse(
        "PERMISSION_MISSING",
        partial(studio.revoke, people.bob, invitation),
        partial(studio.invite, people.bob, "fay@example.com"),
        partial(studio.remove, people.bob, people.cyn),
    )
    await day.refuse_soon("NOT_FOUND", *people.reads(people.bob))
    assert "owner" in await ada.dits("org", "leave", "studio", fails=True)
    await ada.dits("repo", "grant", "studio/film", "bob", "read")
    await ada.dits("org", "remove", "studio", "cyn")
    await day.refuse_soon("NOT_FOUND", *people.reads(people.cyn), *people.reads(ci))
    write(cyn.home / "film", {"shot": b"3"})
    assert "not found" in await cyn.dits("push", "-m", "third", at="film", fails=True)
    await day.refuse("NOT_FOUND", partial(studio.get, people.cyn))


async def _end_credentials(people: People, ci: Account) -> None:
    """What was revoked is refused by every service within 5 seconds, and what was not is not."""
    day, bob, cyn = people.day, people.desks["bob"], people.desks["cyn"]
    before = people.bob
    now = await bob.log_in()
    await people.read_film(before, now)
    mine = await day.api.value(
        "SELECT id::text FROM sessions WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC",
        now.id,
    )
    await bob.dits("session", "revoke", "--all", "--keep-current")
    await day.refuse_soon("UNAUTHENTICATED", *people.reads(before))
    await people.read_film(now)
    await bob.dits("session", "revoke", mine)
    await cyn.dits("token", "revoke", "ci")
    await day.refuse_soon("UNAUTHENTICATED", *people.reads(now), *people.reads(ci))
    # A recovery code opens the account once.
    assert bob.guarded is not None
    code = bob.guarded.recovery_codes[0]
    await bob.dits("login", "-u", "bob", "--session", typed=code)
    assert "wrong code" in await bob.dits("login", "-u", "bob", typed=code, fails=True)
    await people.read_film(await bob.session())


async def test_a_day_in_a_studio(day: Day) -> None:
    people = await _move_in(day)
    await _work_in_a_team(people)
    token = await _log_in_by_key(people)
    await _require_second_factors(people, token)
    ci = await _run_ci(people)
    await _part(people, ci)
    await _end_credentials(people, ci)
    assert len(day.secrets) > 40
    assert len(day.said) > 30
    assert len(day.entries) > 100
    # What is no secret shows that all places are searched.
    day.secrets |= {"address": "cyn@example.com", "status": "PERMISSION_DENIED"}
    leaks = await day.find_leaks()
    assert "users" in leaks.pop("address")
    assert {"errors", "log", "metrics"} <= set(leaks.pop("status"))
    assert leaks == {}

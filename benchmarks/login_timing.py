"""Whether the time of an answer tells of an account: logins that are refused, links that are asked for.

    python -m benchmarks.login_timing [--passwords N] [--keys N] [--links N]

Attempts of all kinds take turns in a random order, each from an address of its own, so that none is
throttled. Printed are the medians, and for each kind a permutation test of its median against that of
unknown users: p is how often a random exchange of the two gives a difference as large. It is small if the
kinds can be told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from dits.auth.v1.account_service_pb2 import RegisterRequest, RequestPasswordResetRequest
from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
from dits.auth.v1.key_service_pb2 import AddSshKeyRequest, CreateKeyChallengeRequest
from dits.auth.v1.key_service_pb2_grpc import KeyServiceStub
from dits.auth.v1.session_service_pb2 import (
    CreateSshChallengeRequest,
    LoginRequest,
    LoginWithSshRequest,
)
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.server import Server, running
from tests.support.ssh import SecurityKey, armor, make_security_keys

# Calls say where they come from.
_PROGRAM = """
import os, sys
os.environ["DITS_TRUSTED_PROXIES"] = "127.0.0.1"
from services.cli import main
sys.exit(main())
"""
PASSWORD = "correct horse battery staple"
PERMUTATIONS = 1000
WARM_UP = 10
Attempts = dict[str, Callable[[], float]]


class Guesser:
    """Who tries to log in, and knows the accounts `ada` and `sue` with their keys."""

    def __init__(self, server: Server) -> None:
        channel = grpc.insecure_channel(server.addresses["auth"])
        self._sessions = SessionServiceStub(channel)
        self._accounts = AccountServiceStub(channel)
        self._keys = KeyServiceStub(channel)
        self._numbers = count(1)
        self._key = {name: self._register(name) for name in ("ada", "sue")}
        self._strange = make_security_keys()[0]
        asyncio.run(_suspend(server, "sue"))

    def passwords(self) -> Attempts:
        """Returns attempts with a password, by kind."""
        return {
            "unknown user": lambda: self._try_password(f"nobody{next(self._numbers)}", PASSWORD),
            "wrong password": lambda: self._try_password("ada", "wrong"),
            "suspended account": lambda: self._try_password("sue", PASSWORD),
        }

    def keys(self) -> Attempts:
        """Returns attempts with an SSH key, by kind."""
        return {
            "unknown user": lambda: self._try_key(f"nobody{next(self._numbers)}", self._key["ada"]),
            "unknown key": lambda: self._try_key("ada", self._strange),
            "another's key": lambda: self._try_key("ada", self._key["sue"]),
            "suspended account": lambda: self._try_key("sue", self._key["sue"]),
        }

    def links(self) -> Attempts:
        """Returns calls that ask for a link which resets a password, by kind of account."""
        return {
            "unknown user": lambda: self._ask_for_link(f"nobody{next(self._numbers)}"),
            "account": lambda: self._ask_for_link("ada"),
            "suspended account": lambda: self._ask_for_link("sue"),
        }

    def _register(self, name: str) -> SecurityKey:
        request = RegisterRequest(username=name, email=f"{name}@example.org", password=PASSWORD)
        self._accounts.Register(request)
        token = self._sessions.Login(LoginRequest(login=name, password=PASSWORD)).session.token
        auth = (("authorization", f"Bearer {token}"),)
        key = make_security_keys()[0]
        issued = self._keys.CreateKeyChallenge(CreateKeyChallengeRequest(), metadata=auth)
        add = AddSshKeyRequest(
            name=name,
            public_key=key.line,
            challenge=issued.challenge,
            signature=armor(key.sign(issued.challenge.encode(), issued.namespace)),
        )
        self._keys.AddSshKey(add, metadata=auth)
        return key

    def _try_password(self, login: str, password: str) -> float:
        return self._wait_for(self._sessions.Login, LoginRequest(login=login, password=password))

    def _try_key(self, login: str, key: SecurityKey) -> float:
        issued = self._sessions.CreateSshChallenge(CreateSshChallengeRequest(login=login))
        signature = armor(key.sign(issued.challenge.encode(), issued.namespace))
        request = LoginWithSshRequest(challenge=issued.challenge, signature=signature)
        return self._wait_for(self._sessions.LoginWithSsh, request)

    def _ask_for_link(self, login: str) -> float:
        address = self._next_address()
        begun = time.perf_counter()
        request = RequestPasswordResetRequest(login=login)
        self._accounts.RequestPasswordReset(request, metadata=address)
        return time.perf_counter() - begun

    def _next_address(self) -> tuple[tuple[str, str]]:
        """Returns metadata that make a call come from another address than all before."""
        number = next(self._numbers)
        address = f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7"
        return (("x-forwarded-for", address),)

    def _wait_for(self, method: Any, request: object) -> float:
        """Returns the seconds until the refusal."""
        address = self._next_address()
        begun = time.perf_counter()
        try:
            method(request, metadata=address)
        except grpc.RpcError as error:
            refusal: Any = error
            if refusal.code() is grpc.StatusCode.UNAUTHENTICATED:
                return time.perf_counter() - begun
            raise
        raise SystemExit("an attempt that must fail succeeded")


async def _suspend(server: Server, name: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("UPDATE users SET status = 'suspended' WHERE username = $1", name)
    await connection.close()


def main() -> None:
    """Runs the benchmark and prints a table for each way."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.login_timing")
    parser.add_argument("--passwords", type=int, default=2000, help="attempts of each kind")
    parser.add_argument("--keys", type=int, default=2000, help="attempts of each kind")
    parser.add_argument("--links", type=int, default=2000, help="calls of each kind")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dits-bench-") as base,
        running(Path(base, "data"), program=("-c", _PROGRAM)) as server,
    ):
        guesser = Guesser(server)
        if arguments.links:
            print_table("links", take_turns(guesser.links(), arguments.links))
        if arguments.keys:
            print_table("SSH keys", take_turns(guesser.keys(), arguments.keys))
        if arguments.passwords:
            print_table("passwords", take_turns(guesser.passwords(), arguments.passwords))


def take_turns(attempts: Attempts, times: int) -> dict[str, list[float]]:
    """Returns the seconds of each attempt, by kind, without those that warm the server up."""
    waits: dict[str, list[float]] = {kind: [] for kind in attempts}
    for _ in range(times + WARM_UP):
        for kind in random.sample(list(attempts), len(attempts)):
            waits[kind].append(attempts[kind]())
    return {kind: found[WARM_UP:] for kind, found in waits.items()}


def print_table(title: str, waits: dict[str, list[float]]) -> None:
    """Prints the medians, and how far each is from that of the first kind."""
    table = Table("kind", "median, ms", "difference, µs", "p", title=title)
    first = next(iter(waits.values()))
    for kind, found in waits.items():
        row = [kind, f"{statistics.median(found) * 1e3:.3f}"]
        if found is not first:
            difference = statistics.median(found) - statistics.median(first)
            row += [f"{difference * 1e6:+.0f}", f"{find_p(first, found):.3f}"]
        table.add_row(*row)
    Console().print(table)


def find_p(first: list[float], second: list[float]) -> float:
    """Returns the p of a difference of the medians of pairs as large as this."""
    seen = abs(statistics.median(first) - statistics.median(second))
    as_large = 0
    for _ in range(PERMUTATIONS):
        pairs = [
            pair if random.getrandbits(1) else pair[::-1]
            for pair in zip(first, second, strict=True)
        ]
        ones, others = zip(*pairs, strict=True)
        as_large += abs(statistics.median(ones) - statistics.median(others)) >= seen
    return (as_large + 1) / (PERMUTATIONS + 1)


if __name__ == "__main__":
    main()

"""`dits doctor`: what could be wrong with a server, a login and a folder, and what helps."""

import json
import platform
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from time import time

from dits.auth.v1.access_service_pb2 import WhoAmIRequest
from dits.chunk.v1.chunk_service_pb2 import GetCapabilitiesRequest
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from dits.lock.v1.lock_service_pb2 import ListLocksRequest
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.folder_checks import Finding, check_files, check_folder, good
from dits_client.cli.keyring_secrets import describe_backend
from dits_client.cli.logins import get_login
from dits_client.cli.stored_session import open_client
from dits_client.cli.workspace_paths import open_workspace
from dits_client.disk.disks import get_disk
from dits_client.errors import ClientError, NoWorkspaceError, RemoteError
from dits_client.server.client import Client
from dits_client.server.endpoints import SERVICES
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text
from dits_client.version import describe_version
from dits_client.workspace.identity import check_followed
from dits_client.workspace.state import USUAL_ACCOUNT
from dits_client.workspace.workspace import Workspace

# Seconds for a service to answer, and by which clocks may differ.
TIMEOUT, MOST_SKEW = 5.0, 60
# A token that ends in so many days is announced.
SOON_DAYS = 7


def handle_doctor(arguments: Namespace) -> None:
    """Print what was looked at, with what helps where something is wrong. Raises ClientError then."""
    wrong = 0
    for found in _examine():
        wrong += found.state == "wrong"
        if arguments.json:
            print(json.dumps(asdict(found)), flush=True)
            continue
        cure = f": {found.cure}" if found.cure else ""
        print(escape_text(f"{found.state:7}  {found.check:11}  {found.text}{cure}"), flush=True)
    if wrong:
        raise ClientError("1 thing is wrong" if wrong == 1 else f"{wrong} things are wrong")


def _examine() -> Iterator[Finding]:
    yield _describe_program()
    workspace = None
    try:
        workspace = open_workspace()
    except NoWorkspaceError as error:
        # There is less to look at.
        yield Finding("folder", "warning", str(error))
    except (ClientError, OSError) as error:
        yield Finding("folder", "wrong", str(error))
    if workspace is not None:
        yield from check_folder(workspace)
    try:
        login = get_login(workspace.state.server_account if workspace else USUAL_ACCOUNT)
    except ClientError as error:
        yield Finding("login", "wrong", str(error))
        return
    yield _check_file()
    with open_client(login) as client:
        broken = list(_check_services(client, login))
        yield from broken or [good("server", f"all services of {login.endpoints.name} answer")]
        if not broken:
            yield from _check_calls(client, workspace)


def _describe_program() -> Finding:
    system = f"Python {platform.python_version()}, {platform.system()}"
    return good("version", f"{describe_version()}, {system}")


def _check_file() -> Finding:
    """Return whether others could read the credentials."""
    credentials = Credentials()
    path = credentials.path
    keeps_modes = get_disk().keeps_modes
    if keeps_modes and path.exists() and path.stat().st_mode & 0o077:
        text = f"others can read {path}"
        return Finding("credentials", "warning", text, f"run `chmod 600 {path}`")
    if any(login.keyring for login in credentials.logins):
        return good("credentials", f"in the keyring ({describe_backend() or 'not there now'})")
    text = f"only you can read {path}" if keeps_modes else f"in {path}"
    return good("credentials", text)


def _check_services(client: Client, login: Login) -> Iterator[Finding]:
    """Call each service as commands do: a proxy on the way may let no other calls through."""
    addresses = login.endpoints
    for name in SERVICES:
        try:
            if name == "auth":
                addresses = client.services
            else:
                _probe(client, name, getattr(addresses, name))
        except RemoteError as error:
            if error.reason is None or error.code == "UNAVAILABLE":
                cure = f"check network and address; DITS_{name.upper()}=HOST:PORT names another"
                yield Finding(name, "wrong", str(error), cure)
            elif name == "auth":
                # It judges the login, and so says not where the others are.
                return


def _probe(client: Client, name: str, address: str) -> None:
    """Make a call that the service judges. Raises RemoteError, also if it has judged it."""
    channel = client.channels.get(address)
    if name == "repo":
        repositories = RepositoryServiceStub(channel)
        client.call(repositories.GetRepository, GetRepositoryRequest(), TIMEOUT)
    elif name == "chunk":
        chunks = ChunkServiceStub(channel)
        client.call(chunks.GetCapabilities, GetCapabilitiesRequest(), TIMEOUT)
    else:
        client.call(LockServiceStub(channel).ListLocks, ListLocksRequest(), TIMEOUT)


def _check_calls(client: Client, workspace: Workspace | None) -> Iterator[Finding]:
    try:
        found = client.call(client.access.WhoAmI, WhoAmIRequest(), timeout=TIMEOUT)
    except ClientError as error:
        yield Finding("login", "wrong", str(error))
        return
    text = f"you are {found.caller.username}"
    if found.HasField("expire_time"):
        left = found.expire_time.ToDatetime(UTC) - datetime.now(UTC)
        text += f", until {found.expire_time.ToDatetime().date()}"
        if left.days < SOON_DAYS and found.token_name:
            yield Finding("login", "warning", text, "run `dits login` for a new token")
            text = ""
    if text:
        yield good("login", text)
    if workspace is not None:
        yield from _check_repository(RepositoryClient(client, workspace.state.address), workspace)


def _check_repository(remote: RepositoryClient, workspace: Workspace) -> Iterator[Finding]:
    try:
        info = remote.get_info()
        check_followed(remote, workspace.state, "")
        begun = time()
        request = ListLocksRequest(repository=remote.name, page_size=1)
        answer = remote.call(remote.locks.ListLocks, request, TIMEOUT)
    except ClientError as error:
        yield Finding("repository", "wrong", str(error))
        return
    yield good("repository", f"{info.name} can be read")
    skew = round((begun + time()) / 2 - answer.server_time.ToNanoseconds() / 1e9)
    if abs(skew) > MOST_SKEW:
        side = "ahead of" if skew > 0 else "behind"
        text = f"this machine's clock is {abs(skew)} s {side} the server's"
        yield Finding(
            "clock", "warning", text, "set it, or let NTP do it: `timedatectl set-ntp true`"
        )
    else:
        yield good("clock", "as the server's")
    if info.lock_required and info.lock_patterns:
        yield check_files(workspace, list(info.lock_patterns))

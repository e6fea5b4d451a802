"""The workspace of a folder that is pushed."""

from pathlib import Path

from dits_client.errors import ClientError
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.workspace.state import make_state
from dits_client.workspace.workspace import Workspace


def open_workspace(folder: Path, client: Client, repository: str = "") -> Workspace:
    """Return the folder's workspace; if it has none and a repository is given, make one."""
    try:
        workspace = Workspace.locate(folder)
    except ClientError:
        if not repository:
            raise
        info = RepositoryClient(client, repository).get_info()
        return Workspace.create(folder, make_state(client.endpoints.name, info))
    if repository and workspace.state.repository.lower() != repository.lower():
        followed = workspace.state.repository
        raise ClientError(f"{quote_text(workspace.root)} follows {followed}, not {repository}")
    return workspace

"""What a push asks the server while it scans the folder."""

from functools import partial

from dits_client.server.repository import RepositoryClient
from dits_client.threads import Ahead


class Questions:
    """The head of the branch that is pushed to, the rules of the repository, the limits of the server."""

    def __init__(self, repository: RepositoryClient, branch: str) -> None:
        """Ask them all at once."""
        self.head = Ahead(partial(repository.get_head, branch))
        self.info = Ahead(repository.get_info)
        self.limits = Ahead(repository.get_limits)

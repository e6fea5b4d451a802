"""`dits account list` and `switch`: the accounts that the user has logged in to."""

import json
from argparse import Namespace

from dits_client.cli.answers import record
from dits_client.cli.credentials import Credentials
from dits_client.cli.table import print_table
from dits_client.errors import ClientError
from dits_client.server.endpoints import Endpoints
from dits_client.terminal import quote_argument


def handle_list(arguments: Namespace) -> None:
    """List the accounts, the one chosen last first."""
    logins = Credentials().logins
    if arguments.json:
        for login in logins:
            found = {"username": login.username, "server": login.endpoints.name}
            print(json.dumps(found | {"is_current": login is logins[0]}))
        return
    rows = (
        (f"{login.username}{' *' if login is logins[0] else ''}", login.endpoints.name)
        for login in logins
    )
    print_table(("ACCOUNT", "SERVER"), rows, "No logins: run `dits login`.")


def handle_switch(arguments: Namespace) -> None:
    """Choose the account that commands use outside of folders, and in those that name none."""
    credentials = Credentials()
    server = Endpoints.parse(arguments.server).name if arguments.server else ""
    found = next((x for x in credentials.logins if x.is_of(server, arguments.username)), None)
    if found is None:
        raise ClientError(
            f"not logged in as {arguments.username}: run `dits login -u "
            f"{quote_argument(arguments.username)}`"
        )
    credentials.choose(found)
    record({"server": found.endpoints.name, "username": found.username})
    print(f"{found.username} on {found.endpoints.name} is used from now on.")

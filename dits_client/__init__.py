"""The reference client of dits: a library and the `dits` command.

    from dits_client.checkout.clone import clone, pull
    from dits_client.server.endpoints import Endpoints
    from dits_client.server.client import Client
    from dits_client.push.push_folder import push

    with Client(Endpoints.parse("localhost"), token) as client:
        push(Path("film"), client, "ada/film", message="First cut")
        clone(client, "ada/film", Path("copy"))

Failures are raised as `dits_client.errors.ClientError`, with one sentence for people.
"""

"""The reference client of dits: a library and the `dits` command.

    from dits_client.checkout.clone import clone_repository
    from dits_client.checkout.pull import pull_folder
    from dits_client.push.push_folder import push_folder
    from dits_client.server.client import Client
    from dits_client.server.endpoints import Endpoints

    with Client(Endpoints.parse("localhost"), token) as client:
        push_folder(Path("film"), client, "ada/film", message="First cut")
        clone_repository(client, "ada/film", Path("copy"))
        pull_folder(Path("copy"), client)

Failures are raised as `dits_client.errors.ClientError`, with one sentence for people.
"""

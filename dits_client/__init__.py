"""The reference client of dits: a library and the `dits` command.

Clone, change, push:

    from dits_client import Client

    with Client("localhost", token) as client:
        film = client.clone("ada/film", "film")
        Path("film/notes.txt").write_text("more light")
        print(film.push("Notes").commit)

A part of a repository, and what is new in it:

    from dits_client import Client, Workspace

    with Client("localhost", token) as client:
        client.clone("ada/film", "shot", only=["shots/010"])
        shot = Workspace("shot", client)
        print(shot.pull().files, shot.status().changed)

A file under a lock, and what to do if somebody else has it:

    from dits_client import Client, RemoteError, Workspace

    with Client("localhost", token) as client:
        shot = Workspace("shot", client)
        try:
            shot.lock("shots/010/a.blend", reason="relighting")
            Path("shot/shots/010/a.blend").write_bytes(b"brighter")
            shot.push("Brighter")
            shot.unlock("shots/010/a.blend")
        except RemoteError as error:
            print(error, error.reason)

`dits_client.library` describes all methods. Failures are raised as `ClientError`, with one sentence for
people.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dits_client.errors import ClientError, ConflictError, RemoteError
    from dits_client.library import Client, Workspace

__all__ = ["Client", "ClientError", "ConflictError", "RemoteError", "Workspace"]

_ERRORS = ("ClientError", "ConflictError", "RemoteError")


def __getattr__(name: str) -> Any:
    """Load what the library offers when it is asked for: the `dits` command needs little of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'errors' if name in _ERRORS else 'library'}"), name)

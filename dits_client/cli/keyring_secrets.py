"""The keyring of the operating system: where the secrets of logins go if there is one.

It is reached by the package `keyring` (`pip install dits-server[keyring]`), which is loaded only for logins
whose secrets are there, and for a new one.
"""

import json
import os
from typing import TYPE_CHECKING

from dits_client.errors import ClientError
from dits_client.terminal import quote_text

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

# AUTO: the keyring if there is one that people use, else the file.
AUTO, KEYRING, FILE = STORES = ("auto", "keyring", "file")

_SERVICE = "dits"
# Of a keyring that is part of an operating system or desktop.
_GOOD_PRIORITY = 1


def save_secrets(store: str, name: str, secrets: dict[str, str]) -> str:
    """Keep secrets in the keyring; return the name of the entry, empty = they belong in the file.

    Raises ClientError if they are to be in the keyring and nowhere else.
    """
    if store == FILE or (store == AUTO and os.environ.get("DITS_CONFIG_DIR")):
        # Who names a folder for the credentials wants them there.
        return ""
    try:
        backend = _find_backend(store)
        if backend is None:
            return ""
        backend.set_password(_SERVICE, name, json.dumps(secrets))
    except Exception as error:
        if store == AUTO:
            return ""
        raise ClientError(
            f"the keyring does not take the login: {_describe(error)} (a file does after "
            "`dits config credentials.store file`)"
        ) from error
    return name


def load_secrets(name: str) -> dict[str, str]:
    """Return the secrets of an entry. Raises ClientError."""
    try:
        import keyring

        found = json.loads(keyring.get_password(_SERVICE, name) or "{}")
        return {"token": str(found["token"]), "sudo": str(found["sudo"])}
    except Exception as error:
        reason = "it has none" if isinstance(error, KeyError) else _describe(error)
        raise ClientError(
            f"the keyring does not give the login of {quote_text(name)} ({reason}): unlock it, or run "
            "`dits login`; `dits logout` ends a login without it"
        ) from error


def remove_secrets(name: str) -> None:
    """Remove an entry as far as the keyring allows it; a token that was logged out opens nothing."""
    from contextlib import suppress

    with suppress(Exception):
        import keyring

        keyring.delete_password(_SERVICE, name)


def describe_backend() -> str:
    """Return the name of the keyring that new secrets would go to; empty = there is none."""
    from contextlib import suppress

    with suppress(Exception):
        if (backend := _find_backend(AUTO)) is not None:
            return str(backend.name)
    return ""


def _find_backend(store: str) -> "KeyringBackend | None":
    """Return the keyring; None if there is none that a user would look into."""
    try:
        import keyring
    except ImportError:
        if store == KEYRING:
            raise
        return None
    backend = keyring.get_keyring()
    is_good = backend.priority >= _GOOD_PRIORITY
    return backend if store == KEYRING or is_good else None


def _describe(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install the package `keyring`"
    return str(error).rstrip(". ") or type(error).__name__

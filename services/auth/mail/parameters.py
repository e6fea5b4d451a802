"""What a mail is made of, sealed: the queue of jobs shows neither texts nor links with secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from shared.runtime.server_key import ServerKey

_CONTEXT = b"parameters of a mail"


@dataclass(frozen=True, slots=True)
class MailParameters:
    """The parameters of a template, and those of each of its items."""

    values: Mapping[str, str]
    items: Sequence[Mapping[str, str]] = field(default=())

    def seal(self, key: ServerKey) -> bytes:
        """Returns what only the server can read."""
        return key.seal(json.dumps(asdict(self), ensure_ascii=False).encode(), _CONTEXT)


def unseal_parameters(key: ServerKey, sealed: bytes) -> MailParameters | None:
    """Returns parameters; None if they were sealed with another key."""
    text = key.unseal(sealed, _CONTEXT)
    return None if text is None else MailParameters(**json.loads(text))

"""The URLs of webhooks: which ones are taken, and what they name."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from services.repo.webhooks.addresses import Address, AllowedNetworks
from shared.errors import invalid_field

FIELD = "url"
MAX_CHARACTERS = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}
LEAST_OTHER_PORT = 1024

# Printable ASCII without the characters that programs read in different ways.
_CHARACTERS = re.compile(r"[!-~]+")
_AMBIGUOUS = re.compile(r'[\\"<>^`{|}]')
_URL = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?]*)(?P<target>[/?].*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
# Programs take a name for a number if its last part looks like one: 127.1, 0x7f.1, 017700000001.
_NUMBER_AT_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a URL names.

    Attributes:
        scheme: `https` or `http`.
        host: name in lower case, or address as text, without brackets.
        address: the host, if it is an address.
        target: path and query, beginning with a slash.
    """

    scheme: str
    host: str
    address: Address | None
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host as the header `Host` has it: with the port, unless it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str, allowed: AllowedNetworks) -> Receiver:
    """Returns what a URL names. Raises INVALID_FIELD if webhooks are not sent to such a URL.

    Addresses in the URL are judged here; those behind a name at each attempt.
    """
    if len(url) > MAX_CHARACTERS:
        raise invalid_field(FIELD, f"must have at most {MAX_CHARACTERS} characters")
    if not _CHARACTERS.fullmatch(url) or _AMBIGUOUS.search(url):
        raise invalid_field(FIELD, "must be printable ASCII; encode other characters with %")
    if "#" in url:
        raise invalid_field(FIELD, "must not have a fragment")
    match = _URL.fullmatch(url)
    if match is None:
        raise invalid_field(FIELD, "must have the form https://host/path")
    scheme = match["scheme"].lower()
    if scheme != "https" and not (scheme == "http" and allowed):
        raise invalid_field(FIELD, "must begin with https://")
    if "@" in match["authority"]:
        raise invalid_field(FIELD, "must not have a user or password")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise invalid_field(FIELD, "must have the form https://host/path")
    host, address = _parse_host(authority["host"].lower())
    if address is not None and not allowed.permits(address, scheme):
        raise invalid_field(FIELD, "must not name an address that is not public")
    port = _parse_port(authority["port"], scheme)
    return Receiver(scheme, host, address, port, _parse_target(match["target"] or "/"))


def _parse_host(host: str) -> tuple[str, Address | None]:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise invalid_field(FIELD, "has no valid IPv6 address in its brackets") from None
        return str(address), address
    if _NUMBER_AT_END.fullmatch(host):
        try:
            # It takes four decimal numbers, and none with a zero before it.
            return host, ipaddress.IPv4Address(host)
        except ValueError:
            raise invalid_field(FIELD, "must write an address as four decimal numbers") from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise invalid_field(FIELD, "must have a host, whose name does not end in a dot")
    if host == "localhost" or host.endswith(".localhost"):
        raise invalid_field(FIELD, "must not name localhost")
    return host, None


def _parse_port(text: str | None, scheme: str) -> int:
    usual = DEFAULT_PORTS[scheme]
    port = usual if text is None else int(text)
    if port != usual and not LEAST_OTHER_PORT <= port <= 65535:
        raise invalid_field(FIELD, f"must have port {usual}, or one of 1024 to 65535")
    return port


def _parse_target(target: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", target):
        raise invalid_field(FIELD, "must write % with two hexadecimal digits behind it")
    return target if target.startswith("/") else f"/{target}"

"""Where a call comes from: the connection's address, or what a trusted proxy says of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class PeerAddresses:
    """Reads the address of the caller of each call.

    A proxy in front of the services is the peer of all calls. It appends the address that it saw to the
    metadata `x-forwarded-for`. What untrusted peers write there is ignored.
    """

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        """`trusted_proxies`: addresses or networks, `10.0.0.0/8`. Raises ValueError for anything else."""
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in trusted_proxies]

    def find(self, peer: str, forwarded_for: Sequence[str]) -> str | None:
        """Returns the address of the nearest hop that is no trusted proxy; None if it is unknown.

        `peer` is gRPC's `ipv4:127.0.0.1:5000` or `ipv6:[::1]:5000`.
        """
        address = _connection_address(peer)
        if not self._trusted:
            return address
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
        while hops and address is not None and self._is_trusted(address):
            address = _canonical(hops.pop())
        return address

    def is_ours(self, address: str | None) -> bool:
        """Whether an address is of this machine or a trusted proxy: other services call from there."""
        if address is None:
            return False
        return ipaddress.ip_address(address).is_loopback or self._is_trusted(address)

    def _is_trusted(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._trusted)


def read_address(text: str) -> str | None:
    """Returns an address in its one spelling; None if the text is none."""
    return _canonical(text)


@lru_cache(maxsize=10_000)
def _connection_address(peer: str) -> str | None:
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    text = rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "")
    return _canonical(text.strip("[]"))


def _canonical(text: str) -> str | None:
    """The address in its one spelling; an IPv4 address in IPv6 clothes becomes one of IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)

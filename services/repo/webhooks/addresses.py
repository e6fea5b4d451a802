"""Which addresses the server connects to for a webhook: public ones, and those that the operator allows."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Unicast addresses that `is_global` holds for public, or held in some version of Python: they lead to an
# IPv4 address inside them (6to4, Teredo, IPv4-mapped and -compatible, NAT64), nowhere, or to the machinery
# of a cloud (Azure's 168.63.129.16).
_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
    )
)
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")


class AllowedNetworks:
    """The networks that the operator allows besides the public ones."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(
            ipaddress.ip_network(text, strict=False) for text in networks
        )

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def contains(self, address: Address) -> bool:
        """Returns whether the operator allows an address."""
        return any(
            address.version == network.version and address in network for network in self._networks
        )

    def permits(self, address: Address, scheme: str) -> bool:
        """Returns whether the server may connect to an address: with http only in these networks."""
        return self.contains(address) or (scheme == "https" and is_public(address))


def is_public(address: Address) -> bool:
    """Returns whether an address belongs to one host of the public internet, and to no other network."""
    if any(address.version == network.version and address in network for network in _REFUSED):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _UNICAST_V6 and address.is_global
    return address.is_global and not address.is_multicast

"""Whose address counts: the connection's, or what trusted proxies append."""

from __future__ import annotations

import pytest

from shared.rpc.peer_address import PeerAddresses

PROXIES = PeerAddresses(["10.0.0.0/8", "fd00::1"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("ipv4:192.0.2.7:50000", [], "192.0.2.7"),
        ("ipv6:%5B2001:db8::7%5D:50000", [], "2001:db8::7"),
        ("ipv6:[::ffff:192.0.2.7]:50000", [], "192.0.2.7"),
        ("ipv6:[fe80::1%25eth0]:50000", [], "fe80::1"),
        ("unix:/run/dits", [], None),
        # Who is no proxy cannot choose an address.
        ("ipv4:192.0.2.7:50000", ["198.51.100.1"], "192.0.2.7"),
        ("ipv4:10.1.1.1:50000", ["198.51.100.1"], "198.51.100.1"),
        ("ipv6:[fd00::1]:50000", ["198.51.100.1"], "198.51.100.1"),
        # What the caller wrote itself stands left of what the proxy appended.
        ("ipv4:10.1.1.1:50000", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("ipv4:10.1.1.1:50000", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        ("ipv4:10.1.1.1:50000", ["198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("ipv4:10.1.1.1:50000", [], "10.1.1.1"),
        ("ipv4:10.1.1.1:50000", ["nonsense"], None),
        ("ipv4:10.1.1.1:50000", [""], None),
    ],
)
def test_the_nearest_hop_that_is_no_proxy_counts(
    peer: str, forwarded_for: list[str], address: str | None
) -> None:
    assert PROXIES.find(peer, forwarded_for) == address


def test_a_proxy_must_be_an_address_or_a_network() -> None:
    with pytest.raises(ValueError, match="proxy"):
        PeerAddresses(["proxy.example"])

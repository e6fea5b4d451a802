"""Which URLs and addresses webhooks may have."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.repo.webhooks.addresses import AllowedNetworks, is_public
from services.repo.webhooks.urls import parse_url
from shared.errors import DomainError

NONE = AllowedNetworks()
OWN = AllowedNetworks(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://ci.example", "ci.example", 443, "/"),
        ("HTTPS://CI.Example:8443/a?b=c", "ci.example", 8443, "/a?b=c"),
        ("https://ci.example?x", "ci.example", 443, "/?x"),
        ("https://8.8.8.8:1024/%20", "8.8.8.8", 1024, "/%20"),
        ("https://[2606:4700::1111]/x", "2606:4700::1111", 443, "/x"),
        ("https://a_b.xn--bcher-kva.example:443/", "a_b.xn--bcher-kva.example", 443, "/"),
        # Nothing reads it as the number 1.2.3.4.
        ("https://1.2.3.4.example/", "1.2.3.4.example", 443, "/"),
    ],
)
def test_what_a_url_names(url: str, host: str, port: int, target: str) -> None:
    receiver = parse_url(url, NONE)
    assert (receiver.host, receiver.port, receiver.target) == (host, port, target)


REFUSED = [
    "",
    "ci.example",
    "//ci.example/",
    "ftp://ci.example/",
    "file:///etc/passwd",
    "https:ci.example",
    "https:///x",
    "https://",
    "https://:443/",
    "http://ci.example/",
    "http://8.8.8.8/",
    "https://ci.example/#x",
    "https://user@ci.example/",
    "https://user:secret@ci.example/",
    "https://8.8.8.8@127.0.0.1/",
    "https://ci.example\\@127.0.0.1/",
    "https://ci.example /",
    "https://ci.example/\t",
    "https://ci.example/\n",
    "https://ci.example/\0",
    "https://bücher.example/",
    "https://ci\N{IDEOGRAPHIC FULL STOP}example/",
    "https://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
    "https://ci.example/%zz",
    "https://ci%2eexample/",
    "https://ci.example./",
    "https://ci..example/",
    "https://-ci.example/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
    "https://ci.example/" + "a" * 2048,
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://a.localhost/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.01/",
    "https://1.2.3/",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://0/",
    "https://0x/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://100.64.0.1/",
    "https://168.63.129.16/",
    "https://169.254.169.254/latest/meta-data",
    "https://172.16.0.1/",
    "https://192.0.0.1/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://192.168.1.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::1]/",
    "https://[100::1]/",
    "https://[2001::1]/",
    "https://[2001:db8::1]/",
    "https://[2002:7f00:1::]/",
    "https://[3fff::1]/",
    "https://[4000::1]/",
    "https://[fc00::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[::1/",
    "https://::1/",
    "https://[v1.a]/",
    "https://ci.example:0/",
    "https://ci.example:22/",
    "https://ci.example:80/",
    "https://ci.example:1023/",
    "https://ci.example:65536/",
    "https://ci.example:99999/",
    "https://ci.example:-1/",
    "https://ci.example:+443/",
    "https://ci.example:4 43/",
    "https://ci.example:/",
    "https://ci.example:443:443/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(DomainError, match="url: "):
        parse_url(url, NONE)


def test_what_the_operator_allows() -> None:
    for url in (
        "http://127.0.0.1:8080/x",
        "https://10.1.2.3/",
        "http://10.1.2.3/",
        "https://[fd00::1]/",
    ):
        parse_url(url, OWN)
    # Names are judged by their addresses, at each attempt.
    assert parse_url("http://ci.internal/", OWN).port == 80
    for url in ("https://127.0.0.2/", "http://8.8.8.8/", "https://localhost/", "http://10.1/"):
        with pytest.raises(DomainError, match="url: "):
            parse_url(url, OWN)
    # An address that leads to an allowed one is another address.
    with pytest.raises(DomainError, match="not public"):
        parse_url("https://[::ffff:127.0.0.1]/", OWN)


@given(st.ip_addresses(v=6))
def test_public_addresses_hold_no_other(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not any((address.ipv4_mapped, address.sixtofour, address.teredo))
        assert not any((address.is_multicast, address.is_site_local, address.is_reserved))


@given(st.ip_addresses(v=4))
def test_public_ipv4_addresses(address: ipaddress.IPv4Address) -> None:
    if is_public(address):
        assert not address.is_private
        assert not any((address.is_multicast, address.is_reserved, address.is_loopback))
        # Whatever holds it in IPv6 is not public.
        for text in (f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}"):
            assert not is_public(ipaddress.IPv6Address(text))


@given(st.text(alphabet="https:/.@#?[]%0x127a-\\ ", max_size=40))
def test_any_text_is_judged(text: str) -> None:
    try:
        receiver = parse_url(f"https://{text}", NONE)
    except DomainError:
        return
    assert receiver.address is None or is_public(receiver.address)

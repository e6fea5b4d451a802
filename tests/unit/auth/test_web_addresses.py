"""Web addresses in profiles: which ones are taken."""

import pytest

from services.auth.organizations.profiles import parse_url
from shared.errors import DomainError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://example.com",
        "https://example.com/a.png",
        "https://Example.com:8443/a%20b/(c);d,e='f'!*+$&?q=[1]&r=~x#top",
        "https://example.com?size=80",
        "https://xn--gre-6ka8i.example/",
        "https://cdn_1.example.com/@ada/a.png",
        "https://[2001:db8::1]:8080/a",
        "https://192.0.2.1/",
        "http://localhost:3000/",
    ],
)
def test_addresses(url: str) -> None:
    assert parse_url("website", url) == url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("example.com", "begins with https"),
        ("ftp://example.com", "begins with https"),
        ("javascript:alert(1)", "begins with https"),
        ("data:image/png;base64,AA==", "begins with https"),
        ("https:/example.com", "begins with https"),
        ("https://ada:secret@example.com/", "user or password"),
        ("https://ada@example.com/", "user or password"),
        ("https://@example.com/", "user or password"),
        ("https://", "form https://host"),
        ("https:///a.png", "form https://host"),
        ("https://?a", "form https://host"),
        ("https://.example.com/", "form https://host"),
        ("https://a..b/", "form https://host"),
        ("https://-a.example/", "form https://host"),
        ("https://example.com:/", "form https://host"),
        ("https://example.com:0/", "form https://host"),
        ("https://example.com:65536/", "form https://host"),
        ("https://example.com:x/", "form https://host"),
        ("https://[::1/", "form https://host"),
        ("https://[1:2]/", "form https://host"),
        ("https://[1.2.3.4]/", "form https://host"),
        ("https://exa%6dple.com/", "form https://host"),
        ("https://" + ".".join(["a" * 60] * 5), "form https://host"),
        ("https://" + "a" * 64 + ".example/", "form https://host"),
        ("https://gr\u00f6\u00dfe.example/", "printable ASCII"),
        ("https://example.com/a b", "printable ASCII"),
        ("https://example.com\\@evil.example/", "printable ASCII"),
        ('https://example.com/"onload="x', "printable ASCII"),
        ("https://example.com/<script>", "printable ASCII"),
        ("https://example.com/%", "printable ASCII"),
        ("https://example.com/%zz", "printable ASCII"),
        ("https://example.com/" + "x" * 2000, "2000"),
    ],
)
def test_what_is_no_address(url: str, sentence: str) -> None:
    with pytest.raises(DomainError, match=sentence) as caught:
        parse_url("website", url)
    assert "secret" not in str(caught.value)

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbox.address import (
    AddressRefusedError,
    check_address,
    check_form,
    target_of,
)

HTTPS = target_of("https://hooks.example.com/x")


def _refused(address: str) -> bool:
    try:
        check_address(HTTPS, address)
    except AddressRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255"),
        *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
        *("192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("fec0::1", "2001:db8::1", "100::1", "3fff::1", "5f00::1", "4000::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2002:0a00:0001::1", "2002:a9fe:a9fe::1"),
        *("2001:0:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"),
        *("not an address", ""),
    ],
)
def test_an_address_that_is_not_public_is_refused_in_every_form(address: str) -> None:
    assert _refused(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_taken(address: str) -> None:
    assert not _refused(address)


@given(st.ip_addresses())
def test_no_address_is_taken_that_python_does_not_hold_for_public(address: object) -> None:
    known = ipaddress.ip_address(str(address))
    if _refused(str(address)):
        return
    inner = getattr(known, "ipv4_mapped", None) or known
    assert inner.is_global
    assert not inner.is_multicast
    assert not inner.is_private


@given(st.ip_addresses(v=4))
def test_an_address_behind_six_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    plain = _refused(str(address))
    assert _refused(f"::ffff:{address}") == plain
    assert (
        _refused(str(ipaddress.IPv6Address(int(ipaddress.ip_address("64:ff9b::")) + int(address))))
        == plain
    )
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)
    assert _refused(str(sixtofour))


def test_what_the_operator_allows_is_taken_and_nothing_beside_it() -> None:
    allowed = (ipaddress.ip_network("10.0.5.0/24"), ipaddress.ip_network("::1"))
    plain = target_of("http://n8n.internal:5678/webhook")
    check_form(plain, allowed)
    check_address(plain, "10.0.5.9", allowed)
    check_address(plain, "::1", allowed)
    for refused in ("10.0.6.1", "127.0.0.1", "::ffff:10.0.6.1"):
        with pytest.raises(AddressRefusedError):
            check_address(plain, refused, allowed)


def test_a_public_address_is_not_asked_in_the_clear_because_a_private_one_may_be() -> None:
    allowed = (ipaddress.ip_network("10.0.0.0/8"),)
    for url in ("http://example.com/", "https://example.com:5678/", "http://example.com:8080/"):
        with pytest.raises(AddressRefusedError):
            check_address(target_of(url), "8.8.8.8", allowed)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "https://example.com:22/", "https://example.com:6379/"),
        *("https://example.com:25/", "http://example.com:443/"),
    ],
)
def test_a_companys_url_is_https_on_few_ports(url: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_form(target_of(url))


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "https://"),
        *(
            "https:///x",
            "https://a b/",
            "https://exa\nmple.com/",
            "https://x:99999/",
            "https://x:0/",
        ),
        *(
            "https://[::1/",
            "https://" + "a" * 3000,
            "javascript:alert(1)",
            "https://exa%6dple.com/",
        ),
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(AddressRefusedError) as refused:
        target_of(url)
    assert str(refused.value)


def test_user_and_password_become_basic_and_leave_the_host() -> None:
    target = target_of("https://me:p%40ss@hooks.example.com/a?b=c")
    assert (target.host, target.target) == ("hooks.example.com", b"/a?b=c")
    assert target.authorization == "Basic bWU6cEBzcw=="
    assert "p@ss" not in repr(target)
    assert "b=c" not in repr(target)


def test_host_header_names_host_and_unusual_port() -> None:
    assert target_of("https://Example.COM./").authority == "example.com"
    assert target_of("https://example.com:8443/").authority == "example.com:8443"
    assert target_of("https://[2001:db8::1]:8443/").authority == "[2001:db8::1]:8443"


_HOSTILE = st.text(
    alphabet=string.ascii_letters + string.digits + "@:/\\?#[]%.-_ \t\r\n\x00。．。à🙂", max_size=60
)


@given(_HOSTILE, st.sampled_from(["https://", "http://", "https:", "//", ""]))
def test_a_hostile_url_is_read_once_or_refused(text: str, start: str) -> None:
    try:
        target = target_of(start + text)
    except AddressRefusedError:
        return
    assert target.scheme in {"http", "https"}
    assert target.host
    assert not set(target.host) & set("@/\\% \t\r\n\x00")
    assert target.host.isascii()
    assert 0 < target.port < 65536
    assert b" " not in target.target
    assert b"\r" not in target.target
    assert b"\n" not in target.target

"""Which addresses a message may be sent to.

Whoever may enter a URL must not thereby reach what only this server reaches: itself, its neighbours,
the metadata service of its cloud. Names are judged by the addresses they resolve to, at the moment
of connecting and by the connection itself (see ``transport``), so that a name cannot resolve to one
address for the check and to another one for the request.
"""

import socket
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

# Never connected to, not even where private addresses are allowed: they hand out a cloud's credentials.
METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
NAT64 = ip_network("64:ff9b::/96")  # IPv4 addresses as seen by a network of IPv6 only
LOCAL_NAMES = ("localhost", ".localhost", ".local", ".internal")


class AddressRefused(Exception):
    """An address or URL that nothing is sent to.

    :param str code: ``scheme``, ``host``, ``credentials``, ``private`` or ``forbidden``
    :param str message: what was wrong with what
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def check_url(url, allow_private):
    """Refuse what is wrong with a URL whatever its name resolves to.

    :param bool allow_private: whether http and addresses of private networks may be used
    :raises AddressRefused: with its code
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as exc:
        raise AddressRefused("host", f"This is no URL: {exc}.") from exc
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise AddressRefused("scheme", "The URL must begin with https://.")
    if not host or any(character.isspace() or character == "\\" for character in url):
        raise AddressRefused("host", "The URL names no host.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("credentials", "The URL may not contain a user or password.")
    _check_name(host.rstrip(".").lower(), allow_private)


def _check_name(host, allow_private):
    if host.endswith(LOCAL_NAMES) and not allow_private:
        raise AddressRefused("private", f"{host} is a name of a private network.")
    try:
        address = ip_address(host)
    except ValueError:
        return  # a name: judged when it is connected to
    check_address(address, allow_private)


def check_address(address, allow_private):
    """Refuse an address that may not be connected to.

    :param address: ``IPv4Address`` or ``IPv6Address``
    :raises AddressRefused: ``forbidden`` whatever is allowed, ``private`` unless it is allowed
    """
    address = innermost(address)
    if address in METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise AddressRefused("forbidden", f"{address} is never sent to.")
    if not allow_private and (not address.is_global or getattr(address, "is_site_local", False)):
        raise AddressRefused("private", f"{address} is an address of a private network.")


def innermost(address):
    """The IPv4 address that an IPv6 address stands for, or the address itself.

    >>> innermost(ip_address("::ffff:127.0.0.1"))
    IPv4Address('127.0.0.1')
    >>> innermost(ip_address("64:ff9b::a00:1"))
    IPv4Address('10.0.0.1')
    """
    if not isinstance(address, IPv6Address):
        return address
    if address in NAT64:
        return ip_address(int(address) & 0xFFFFFFFF)
    if int(address) >> 32 == 0 and int(address) > 1:  # "::127.0.0.1", an old way to write IPv4
        return ip_address(int(address))
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1]) or address


def resolve(host, port, allow_private):
    """The addresses of a host, all of them checked.

    :return: list of addresses as text, in the order to try them
    :raises AddressRefused: one of them may not be connected to, and so none is
    :raises OSError: the name cannot be resolved
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(sockaddr[0] for *_, sockaddr in found))
    for address in addresses:
        check_address(ip_address(address.partition("%")[0]), allow_private)
    return addresses

"""Which addresses may be connected to. Names are resolved here, and the connection goes to what was looked at."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import anyio

from plughost_upstream.protocols import Reach, UpstreamForbiddenError, UpstreamUnavailableError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name."""

_NEVER_LOCAL: Final = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "fec0::/10",
    )
)
"""Link-local ones, where clouds keep credentials, and what carriers and protocols use among themselves."""

_CARRIES_IPV4: Final = tuple((ip_network(network), bits) for network, bits in (
    ("::/96", 0), ("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80),
))  # fmt: skip
"""IPv6 networks whose addresses stand for an IPv4 one, and how many bits from the right that is."""

_NEVER_PUBLIC: Final = tuple(
    ip_network(network) for network in ("64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16")
)


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks as they are written in a configuration.

    Raises:
        ValueError: One of them is none.
    """
    return tuple(ip_network(text) for text in texts)


def permits(address: Address, reach: Reach, allowed: Sequence[Network]) -> bool:
    """Whether an origin of that reach may be at ``address``; what is ``allowed`` may in any case."""
    if any(address in network for network in allowed):
        return True
    inner = _ipv4_within(address)
    if inner is not None:
        return permits(inner, reach, allowed)
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return False
    if any(address in network for network in (*_NEVER_LOCAL, *_NEVER_PUBLIC)):
        return False
    if address.is_global:
        return not address.is_reserved
    return reach == "local" and _is_private(address)


def _is_private(address: Address) -> bool:
    networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    return any(address in ip_network(network) for network in networks)


def _ipv4_within(address: Address) -> IPv4Address | None:
    for network, shift in _CARRIES_IPV4:
        if address in network and int(address) > 1:  # :: and ::1 are addresses of their own
            return IPv4Address((int(address) >> shift) & 0xFFFF_FFFF)
    return None


async def resolved(
    host: str, port: int, reach: Reach, allowed: Sequence[Network], resolve: Resolve
) -> tuple[str, ...]:
    """Return the addresses of a host, in the order to try them.

    Raises:
        UpstreamForbiddenError: One of them may not be connected to: somebody who answers with a good and a bad one
            is not to be trusted with either.
        UpstreamUnavailableError: It has none.
    """
    try:
        found = [ip_address(text.partition("%")[0]) for text in await resolve(host, port)]
    except (OSError, ValueError, UnicodeError):
        found = []
    if not found:
        raise UpstreamUnavailableError("the name of the service cannot be resolved")
    if not all(permits(address, reach, allowed) for address in found):
        raise UpstreamForbiddenError(
            "the service is at an address where it may not be; if it should be there, name the network in"
            " [plugins.upstream.config] allowed_networks"
        )
    return tuple(dict.fromkeys(str(address) for address in found))


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]

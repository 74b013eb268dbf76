"""Which addresses the gateway may connect to when somebody else names the host.

The check is made on the address that a socket is about to be connected to: what a name resolved to a moment before, or
when it was configured, says nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

Address = IPv4Address | IPv6Address
AddrInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
# RFC 6052: an IPv4 address for a NAT64 to translate; ipaddress calls all of them global.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not global by IANA's registries of special-purpose addresses, but to the ipaddress of some Pythons.
_SPECIAL = [ipaddress.ip_network(one) for one in ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")]


class AddressRefused(OSError):
    """The address is none that may be connected to."""


class AddressRules:
    """Public addresses, and those of the networks that are allowed beside them."""

    def __init__(self, allow_private: Iterable[str] = ()) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allow_private]

    def allows(self, text: str) -> bool:
        """Whether an address, as a resolver writes it, may be connected to."""
        address = _plain(ipaddress.ip_address(text.partition("%")[0]))
        if any(address in network for network in self._allowed):
            return True
        if any(address in network for network in _SPECIAL):
            return False
        return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)

    def check(self, text: str) -> None:
        """Raises AddressRefused."""
        if not self.allows(text):
            raise AddressRefused(f"{text} is no public address, and webhooks.allow_private does not name it")


class GuardedResolver(AbstractResolver):
    """Resolves names of which every address is allowed: one among them that is not condemns the name."""

    def __init__(self, rules: AddressRules, inner: AbstractResolver) -> None:
        self._rules, self._inner = rules, inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for one in found:
            self._rules.check(one["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


def make_connector(
    rules: AddressRules, tls: ssl.SSLContext | bool, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """Connections to allowed addresses only. No answer of a resolver is kept, and no connection is used twice."""

    def make_socket(info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, place = info
        rules.check(str(place[0]))
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return aiohttp.TCPConnector(
        ssl=tls,
        resolver=GuardedResolver(rules, resolver or aiohttp.ThreadedResolver()),
        use_dns_cache=False,
        force_close=True,
        socket_factory=make_socket,
    )


def _plain(address: Address) -> Address:
    """The IPv4 address within an IPv6 address that stands for one."""
    if isinstance(address, IPv4Address):
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and address in _NAT64:
        embedded = IPv4Address(int(address) & 0xFFFF_FFFF)
    if embedded is None and address.teredo is not None:
        embedded = address.teredo[1]
    return address if embedded is None else embedded

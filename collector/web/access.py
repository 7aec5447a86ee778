"""Who may read the page: by which host names it is called, and with which password. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from collector.overview import ArchiveFiles
from collector.status import Listen


@dataclass(frozen=True, slots=True)
class Page:
    """Where the page is served, what it shows, by which host names besides addresses, with which password."""

    listen: Listen
    archive: ArchiveFiles
    names: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)


MOST_WAIT_S = 8.0
"""An attempt that would have to wait longer is refused unread."""

_FIRST_WAIT_S = 0.5  # after one wrong password from an address; doubled by each further one
_FORGOTTEN_S = 900.0
_MOST_CLIENTS = 256


def is_own_name(header: str | None, names: tuple[str, ...]) -> bool:
    """Whether a `Host` header is an address, `localhost`, one of `names`, or missing (HTTP/1.0).

    DNS rebinding: the page of an attacker, whose name was redirected to this address, sends that name. It
    cannot send an address.
    """
    host = bare_host(header)
    if host is None or host == "localhost" or host in names:
        return True
    try:
        ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return False
    return True


def bare_host(header: str | None) -> str | None:
    """A `Host` header in lower case, without its port and the dot that may end a name; `None` without one."""
    if header is None:
        return None
    host, colon, port = header.strip().lower().rpartition(":")
    return (host if colon and port.isdigit() else header.strip().lower()).removesuffix(".")


@dataclass(slots=True)
class _Client:
    """An address that sent wrong passwords: how many, and when its next attempt is read (loop time)."""

    failures: int = 0
    free_at: float = 0.0


@dataclass(slots=True)
class Guard:
    """Compares passwords, ever more slowly for an address that sent wrong ones. Times are loop time."""

    password: str = field(repr=False)
    _clients: OrderedDict[str, _Client] = field(default_factory=OrderedDict)

    @property
    def clients(self) -> int:
        """How many addresses are remembered."""
        return len(self._clients)

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until the next attempt of that address may be read; takes its turn if that is soon enough.

        Attempts at the same time wait for one another, so that many connections are no faster than one.
        """
        client = self._clients.get(_network(address))
        if client is None or now >= client.free_at + _FORGOTTEN_S:
            return 0.0
        wait_s = max(0.0, client.free_at - now)
        if wait_s <= MOST_WAIT_S:
            client.free_at = max(now, client.free_at) + _pause_s(client)
        return wait_s

    def is_right(self, address: str, header: str, now: float) -> bool:
        """Whether an `Authorization` header has the password; the user name does not matter."""
        network = _network(address)
        if hmac.compare_digest(_password_in(header), self.password.encode()):
            self._clients.pop(network, None)
            return True
        client = self._clients.pop(network, None)
        if client is None or now >= client.free_at + _FORGOTTEN_S:
            client = _Client()
        client.failures += 1
        client.free_at = max(client.free_at, now + _pause_s(client))
        self._clients[network] = client
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return False


def _pause_s(client: _Client) -> float:
    """Seconds between two attempts of that client."""
    return min(_FIRST_WAIT_S * 2.0 ** min(client.failures - 1, 10), MOST_WAIT_S)


def _network(address: str) -> str:
    """The address; of IPv6 its first 64 bits, because a client has all addresses with these."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
    return str(found)


def _password_in(header: str) -> bytes:
    """The password in a header `Authorization: Basic …`; empty, which no password is, if there is none."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(text.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""

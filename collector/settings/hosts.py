"""An account's host as people write it -> a base URL that is not ambiguous.

The key is sent to this address, so nothing is guessed: the grammar is narrower than that of URL parsers,
so that no two parsers read an accepted host differently.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

_EXAMPLE = "shelly-12-eu.shelly.cloud"
_LONGEST = 300
_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\[[^\[\]/]*\]|[^:/\[\]]*)(?::([^/]*))?(/.*)?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_FORBIDDEN = {
    "\\": "a backslash",
    "@": "a user name",
    "?": "a query",
    "#": "a fragment",
    "%": "an escaped character",
}


def base_url(host: str) -> str:
    """The host as `https://host[:port]`; raises `ValueError` with the reason if it is refused.

    A bare host means https. `http://` is allowed for loopback only, because the key is not encrypted.
    """
    scheme, name, port = _split(host)
    if scheme == "http" and not _names_loopback(name):
        raise ValueError("must begin with https://: http:// would send the key unencrypted")
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{shown}:{port}"


def is_loopback(url: str) -> bool:
    """Whether this base URL, or host, means this machine."""
    return _names_loopback(_split(url)[1])


def is_shelly(url: str) -> bool:
    """Whether this base URL, or host, is in Shelly's own domain."""
    return _split(url)[1].endswith(".shelly.cloud")


def _split(host: str) -> tuple[str, str, int | None]:
    """Scheme, host name or bare address, port."""
    if not host:
        raise ValueError(f"is empty: give the host from the Shelly app, like {_EXAMPLE}")
    if len(host) > _LONGEST:
        raise ValueError("is too long for a host")
    if not (host.isascii() and host.isprintable()) or " " in host:
        raise ValueError("must be plain ASCII, without spaces or control characters")
    for char, what in _FORBIDDEN.items():
        if char in host:
            raise ValueError(f"must be a host and nothing else: it contains {what} ({char})")
    match = _PARTS.fullmatch(host)
    if match is None:
        raise ValueError(f"is not a host: write it like {_EXAMPLE}")
    scheme, name, port, path = match.groups()
    if path not in (None, "/"):
        raise ValueError("must be a host and nothing else: it contains a path")
    scheme = (scheme or "https").lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError("must begin with https://, or with the name")
    name = _name(name.lower())
    if port is not None and (not _PORT.fullmatch(port) or int(port) > 65535):
        raise ValueError("has an invalid port: it must be a number from 1 to 65535, without leading zeros")
    return scheme, name, None if port is None else int(port)


def _name(name: str) -> str:
    if name.startswith("["):
        return _address(name[1:-1], IPv6Address)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # some resolvers read 2130706433, 0x7f.1 and 127.1 as addresses
        return _address(name, IPv4Address)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"is not a host name: write it like {_EXAMPLE}")
    if len(labels) == 1 and name != "localhost":
        raise ValueError(f"is not a full host name: write it like {_EXAMPLE}")
    return name


def _address(text: str, kind: type[IPv4Address] | type[IPv6Address]) -> str:
    try:
        address = kind(text)
    except ValueError:
        raise ValueError("is not an IP address in its plain form") from None
    if address.is_unspecified or address.is_multicast or (address.is_reserved and not address.is_loopback):
        raise ValueError("is an address that no server can have")
    return str(address)


def _names_loopback(name: str) -> bool:
    # ::ffff:127.0.0.1 is loopback only in some Python versions; it is refused in all.
    try:
        return name in ("localhost", "::1") or IPv4Address(name).is_loopback
    except ValueError:
        return False

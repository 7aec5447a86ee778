"""Shared by all HTTP clients here: sessions without state, size limits, addresses, errors as text."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver

from collector import __version__
from collector.threads import in_thread

_MAX_HEAD = 512 * 1024  # more than one read from a socket, which may include a part of the body
_MAX_ANSWER = 2 * 1024 * 1024  # as transferred: a body of 1 MB with its chunk headers
_STEPS = 30  # of a time limit: more than a request needs turns of the loop
_LINE_COST = 200  # bytes: a header or trailer of two bytes becomes half a kilobyte of objects


class AnswerTooLong(aiohttp.ClientError):
    """The connection was ended because it sent more than an answer may have."""


class BoundedResponse(aiohttp.ClientResponse):
    """An answer whose connection is ended if it sends too much."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Waits for the headers. Raises `AnswerTooLong` if they do not end."""
        counting = _Counting(connection.protocol, connection.transport)
        connection.transport.set_protocol(counting)
        try:
            response = await super().start(connection)
        except aiohttp.ClientError:
            if counting.left < 0:
                raise AnswerTooLong from None
            raise
        counting.left += _MAX_ANSWER
        return response


class _Counting(asyncio.Protocol):
    """Wraps the library's protocol and passes on what is received, up to the limit."""

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self.left = _MAX_HEAD
        self._protocol = protocol
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.left -= len(data) + data.count(b"\n") * _LINE_COST
        if self.left < 0:
            self._transport.abort()
        else:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


_HEAD_START_S = 1.0  # of one address before the next: enough for a distant host, TLS included
_RESOLUTION_S = 0.01
_KNOWN_FOR_S = 10.0  # how long a name's addresses are used before it is looked up again
_KEPT_FOR_S = 15.0  # idle; many servers close theirs after 60 s or more, and routers forget them later
_FAMILIES = {int(socket.AF_INET): "IPv4", int(socket.AF_INET6): "IPv6"}
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")

ON_A_NEW_CONNECTION = {"Connection": "close"}
"""The headers of a request that is not sent on a kept connection, and after which none is kept."""

Address = dict[str, Any]
"""As the library's resolvers return it: `host`, `port`, `family` and so on."""


def new_session(trace_configs: Iterable[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """A session: no proxy from the environment, no cookies, no time limit; connections are kept for 15 s.

    `asyncio.timeout` around a request is the only limit: the library's own do not cover all of it.
    """
    return _session(BoundedResponse, trace_configs)


def new_websocket_session() -> aiohttp.ClientSession:
    """The same for WebSockets: each message has a limit, but not all that a connection receives.

    A redirect is an error, as other answers are: what is sent then is meant for that host alone.
    """
    traces = aiohttp.TraceConfig()
    traces.on_request_redirect.append(_refuse_redirect)
    return _session(aiohttp.ClientResponse, [traces])


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: object, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    answer = redirect.response
    answer.close()
    raise aiohttp.WSServerHandshakeError(
        answer.request_info, answer.history, status=answer.status, headers=answer.headers
    )


def _session(
    response_class: type[aiohttp.ClientResponse], trace_configs: Iterable[aiohttp.TraceConfig] = ()
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=response_class,
        headers={"User-Agent": f"shelly-collector/{__version__}", "Accept-Encoding": "identity"},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(),
        trace_configs=list(trace_configs),
        trust_env=False,
    )


@asynccontextmanager
async def time_limit(limit_s: float) -> AsyncIterator[None]:
    """As `asyncio.timeout(limit_s)`, but the limit passes in 30 steps, and a step that ends late is one step.

    Where the loop is late, because the process has too much to do or was stopped, an answer that has come in
    time is still read. Raises `TimeoutError`.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def step(left: int) -> None:
        nonlocal timer
        if left:
            timer = loop.call_later(limit_s / _STEPS, step, left - 1)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        step(_STEPS)
        try:
            yield
        finally:
            timer.cancel()


def unreached(session: aiohttp.ClientSession, host: str) -> Mapping[str, str]:
    """The families ("IPv4", "IPv6") that failed when that host was last connected to, and why.

    A slow address counts after `_HEAD_START_S` without a connection. A family for which this machine has no
    network is not listed.
    """
    connector = session.connector
    return connector.unreached.get(host, {}) if isinstance(connector, _Connector) else {}


# -- Errors in words ----------------------------------------------------------------------------------


class Explanation(NamedTuple):
    """What an error means: `reason` for a log line, and `cure`, what to do in sentences, or empty."""

    reason: str
    cure: str = ""


NO_WAY_CURE = (
    "Check that this machine is online, and compare the host with the server that the Shelly app shows "
    "beside the key. A proxy is not used, on purpose, because the key is sent to the host only: let this "
    "machine reach the host's port 443 directly, or through a VPN."
)
_NO_CA_CERTIFICATES = Explanation(
    "this machine has no CA certificates to check the host's certificate with: install ca-certificates",
    "Install them: apt install ca-certificates. Collecting resumes automatically; if it does not, restart "
    "the service.",
)
_UNKNOWN_CA = Explanation(
    "the host's certificate is of an issuer that this machine does not know (a device in between, or old "
    "ca-certificates?)",
    "A firewall, a virus scanner or a captive portal may replace the certificate with its own: let this "
    "machine reach the host's port 443 without it. Or this machine's CA certificates are old: apt install "
    "ca-certificates.",
)
_SELF_SIGNED = Explanation(
    "the host's certificate is signed by itself: another device answers in its place (a captive portal?)",
    "Log in if this network requires it, let the firewall pass this machine to the host's port 443, and "
    "compare the host with the server that the Shelly app shows beside the key.",
)
_OTHER_NAME = Explanation(
    "the host's certificate is for another name (a wrong host, or a device in between?)",
    "Compare the host with the server that the Shelly app shows beside the key. If it is right, another "
    "device answers in its place: log in if this network requires it, and check router and firewall.",
)
_CERTIFICATES = {  # by OpenSSL's X509_V_ERR_ of x509_vfy.h
    9: Explanation(
        "the host's certificate is not valid yet, by this machine's clock, which seems to be behind: set it "
        "(timedatectl)",
        "Set this machine's clock (timedatectl); collecting resumes automatically.",
    ),
    10: Explanation(
        "the host's certificate has expired, by this machine's clock (is it right? see timedatectl)",
        "Check this machine's clock (timedatectl). If it is right, the host's owner has to renew the "
        "certificate; then collecting resumes automatically.",
    ),
    18: _SELF_SIGNED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    62: _OTHER_NAME,  # HOSTNAME_MISMATCH
    64: _OTHER_NAME,  # IP_ADDRESS_MISMATCH
}
_UNKNOWN_ISSUER = {
    2,  # UNABLE_TO_GET_ISSUER_CERT
    19,  # SELF_SIGNED_CERT_IN_CHAIN
    20,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
}
_HOME_MADE = Explanation(
    "this machine does not trust the host's certificate",
    "Within your own network, use http:// in url. Or copy the certificate of its issuer (of the host, if it "
    "is signed by itself) to /usr/local/share/ca-certificates/NAME.crt, run `update-ca-certificates`, and "
    "restart the service.",
)


def in_words(error: Exception) -> str:
    """What the library's error means. Never its own text, which contains the URL and so a secret."""
    return _explained(error).reason


def cure_for(error: Exception) -> str:
    """What to do about it, in sentences; empty if there is no specific advice."""
    return _explained(error).cure


def of_own_host(error: Exception) -> Explanation:
    """What the error means if the host is the user's own: its certificate may be self-made."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in {18, *_UNKNOWN_ISSUER}:
        return _HOME_MADE
    return Explanation(in_words(error))


def is_broken(error: Exception) -> bool:
    """Whether a connection that had been made was lost."""
    if isinstance(error, aiohttp.ClientConnectorError | NoConnection):
        return False
    return isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientConnectionError | ConnectionError)


def too_late(limit_s: float, failures: Mapping[str, str]) -> str:
    """The reason if no connection was made in time; `failures`: what is known of each family."""
    why = f": {by_family(failures)}" if len(set(failures.values())) > 1 else ""
    return noting_a_proxy(f"no connection within {limit_s:g} s{why}")


def noting_a_proxy(reason: str) -> str:
    """The reason; if the environment names a proxy, also that it is not used."""
    named = any(os.environ.get(name) for name in _PROXIES)
    return f"{reason}; the environment names a proxy, which is not used" if named else reason


def by_family(failures: Mapping[str, str]) -> str:
    """Why there was no connection: one reason, or one for each family if they differ."""
    if len(set(failures.values())) <= 1:
        return next(iter(failures.values()), "")
    return ", ".join(f"{why} over {family}" for family, why in sorted(failures.items()))


class NoConnection(aiohttp.ClientConnectionError):
    """No address of the host could be connected to; `failures`: why, by family."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        super().__init__(by_family(failures))
        self.failures = failures


def _explained(error: Exception) -> Explanation:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explained_certificate(error)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Explanation("no secure connection could be made")
    if isinstance(error, NoConnection):
        return Explanation(noting_a_proxy(f"no connection: {by_family(error.failures)}"), NO_WAY_CURE)
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = f"no connection: {_text_of(error.os_error)}"
        if isinstance(error.os_error, socket.gaierror):
            reason = "the host's name does not resolve (no network, or a wrong host?)"
        return Explanation(noting_a_proxy(reason), NO_WAY_CURE)
    if isinstance(error, AnswerTooLong):
        return Explanation("the answer's headers have no end")
    if is_broken(error):
        return Explanation("the connection broke before the answer was whole")
    return Explanation(f"the answer could not be read ({type(error).__name__})")


def _explained_certificate(error: ssl.SSLCertVerificationError) -> Explanation:
    """By OpenSSL's error code: the reason may be this machine or its clock instead of the host."""
    if error.verify_code in _UNKNOWN_ISSUER:
        return _UNKNOWN_CA if _has_ca_certificates() else _NO_CA_CERTIFICATES
    if error.verify_code in _CERTIFICATES:
        return _CERTIFICATES[error.verify_code]
    # OpenSSL's own text, which contains no secret: only those for another name include the host.
    return Explanation(f"the host's certificate is not valid ({error.verify_message})")


def _has_ca_certificates() -> bool:
    """Whether OpenSSL finds CA certificates in its default file or folders."""
    paths = ssl.get_default_verify_paths()
    with suppress(OSError):
        if paths.cafile and Path(paths.cafile).stat().st_size:
            return True
    for folder in os.environ.get(paths.openssl_capath_env, paths.openssl_capath).split(os.pathsep):
        with suppress(OSError):
            if any(re.fullmatch(r"[0-9a-f]{8}\.\d+", each.name) for each in Path(folder).iterdir()):
                return True
    return False


def _why(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return in_words(error)
    return _text_of(error.os_error)


def _text_of(cause: OSError) -> str:
    """The meaning of the error number; the error's own text is not under our control."""
    return os.strerror(cause.errno) if cause.errno else type(cause).__name__


# -- Addresses ----------------------------------------------------------------------------------------

_CHOSEN: ContextVar[Address] = ContextVar("chosen")
_NO_NETWORK = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class _Connector(aiohttp.TCPConnector):
    """Connects by whichever of a host's addresses works first, TLS included, with any release of the library.

    Releases before 3.10 wait for an address until the kernel gives up, after two minutes, before they try
    the next; later ones try several at once, and then wait for TLS with one of them. Here each address has
    a head start before the next and continues beside it (RFC 8305, "happy eyeballs"). For the library's
    signals, and so for the pacer, this is one connection: the request is sent on the first that works.

    A connection is kept for the next request until it was idle for `_KEPT_FOR_S`. By the library's own
    timer alone it could be twice as long.
    """

    def __init__(self) -> None:
        super().__init__(
            keepalive_timeout=_KEPT_FOR_S, limit=0, use_dns_cache=False, resolver=_ChosenAddress()
        )
        self._idle: dict[asyncio.Protocol, asyncio.TimerHandle] = {}  # and what will close it
        self.unreached: dict[str, dict[str, str]] = {}
        self._lookups: dict[tuple[str, int], tuple[float, asyncio.Future[list[Address]]]] = {}
        self._worked: dict[str, int] = {}  # the family by which a host was last connected to
        self._turns: Counter[str] = Counter()

    async def connect(self, req: Any, *more: Any, **named: Any) -> Any:
        """A kept connection that is fit, unless the request is `ON_A_NEW_CONNECTION`; or else a new one."""
        needs_new = req.headers.get("Connection") == "close"
        while True:
            connection: Any = await super().connect(req, *more, **named)
            protocol = connection.protocol
            closing = self._idle.pop(protocol, None)
            if closing is not None:
                closing.cancel()
                # `should_close`: bytes that nothing requested would be taken for the answer to this request.
                if needs_new or protocol.should_close:
                    connection.close()
                    continue
            connection.add_callback(partial(self._release_to_idle, protocol))
            return connection

    def _release_to_idle(self, protocol: Any) -> None:
        loop = asyncio.get_running_loop()
        self._idle[protocol] = loop.call_later(_KEPT_FOR_S, self._close_idle, protocol)

    def _close_idle(self, protocol: Any) -> None:
        del self._idle[protocol]
        protocol.close()

    async def _create_connection(self, req: Any, *more: Any) -> Any:
        connect = partial(super()._create_connection, req, *more)
        host: str = req.url.raw_host
        if ":" in host or host.replace(".", "").isdigit():  # an address itself
            return await connect()
        unreached = self.unreached[host] = {}
        try:
            addresses = await self._look_up(host, req.port)
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        loop = asyncio.get_running_loop()
        errors: list[aiohttp.ClientConnectorError] = []
        failures: dict[str, str] = {}
        reached: set[str] = set()

        async def attempt(address: Address) -> Any:
            _CHOSEN.set(address)
            family, began = _FAMILIES[address["family"]], loop.time()
            try:
                connection = await connect()
            except asyncio.CancelledError:
                if loop.time() - began >= _HEAD_START_S - _RESOLUTION_S:
                    unreached[family] = "no answer"
                raise
            except aiohttp.ClientConnectorError as error:
                errors.append(error)
                failures[family] = _why(error)
                if error.errno not in _NO_NETWORK:
                    unreached[family] = failures[family]
                raise
            self._worked[host] = address["family"]
            reached.add(family)
            return connection

        turn = self._turns[host]
        self._turns[host] += 1
        try:
            return await first_of(attempt, in_turn(addresses, self._worked.get(host), turn))
        except aiohttp.ClientConnectorError:
            # A TLS error came further than a refused connection, so its reason is more precise.
            tls = next((each for each in errors if isinstance(each, aiohttp.ClientSSLError)), None)
            if tls is not None:
                raise tls from None
            if len(set(failures.values())) == 1:
                raise
            raise NoConnection(failures) from None
        finally:
            for family in reached:
                unreached.pop(family, None)

    async def _look_up(self, host: str, port: int) -> list[Address]:
        """A name's addresses: looked up once for all requests within ten seconds."""
        loop = asyncio.get_running_loop()
        began, found = self._lookups.get((host, port), (0.0, None))
        is_old = found is not None and found.done() and loop.time() - began >= _KNOWN_FOR_S
        if found is None or is_old or (found.done() and found.exception() is not None):
            found = in_thread(_addresses_of, host, port)
            found.add_done_callback(lambda each: each.cancelled() or each.exception())  # none may wait
            self._lookups[host, port] = loop.time(), found
        return await asyncio.shield(found)  # a cancelled request must not cancel it for others


class _ChosenAddress(AbstractResolver):
    """Resolves the name to the one address of the current attempt."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
        return [_CHOSEN.get()]

    async def close(self) -> None:
        """Nothing to close."""


def _addresses_of(host: str, port: int) -> list[Address]:
    """The name's addresses in the system's order. Blocking. Raises `OSError`."""
    found = [
        {
            "hostname": host,
            "host": address[0],
            "port": address[1],
            "family": family,
            "proto": protocol,
            "flags": socket.AI_NUMERICHOST,
        }
        for family, _, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if family in _FAMILIES
    ]
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return found


def in_turn(addresses: Sequence[Address], first: int | None, turn: int) -> list[Address]:
    """The order to try them in: families alternate, beginning with the family `first` if present.

    With each `turn` a family begins with another of its addresses, so that a broken server is not always
    the first.
    """
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address["family"], []).append(address)
    groups = sorted(families.values(), key=lambda group: group[0]["family"] != first)
    turned = [group[turn % len(group) :] + group[: turn % len(group)] for group in groups]
    return [address for row in zip_longest(*turned) for address in row if address is not None]


async def first_of(attempt: Callable[[Address], Coroutine[Any, Any, Any]], addresses: list[Address]) -> Any:
    """The first connection that is made; raises the last attempt's error if none is.

    The next attempt begins when one has failed, or the latest had its head start. All other connections
    are closed in any case.
    """
    running: set[asyncio.Task[Any]] = set()
    waiting = deque(addresses)
    try:
        while True:
            if waiting:
                running.add(asyncio.create_task(attempt(waiting.popleft())))
            limit_s = _HEAD_START_S if waiting else None
            done, _ = await asyncio.wait(running, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                running.remove(task)
                error = task.exception()
                if error is None:
                    return task.result()
                if not running and not waiting:
                    raise error
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled() and task.exception() is None:
                task.result().close()

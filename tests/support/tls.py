"""TLS servers with something wrong about them, and the certificates, made by openssl for the occasion."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_CONFIG = """
[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
email_in_dn = no
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


class Authority:
    """A certificate authority of its own, in a folder."""

    def __init__(self, folder: Path, name: str = "Authority of the tests") -> None:
        folder.mkdir()
        self.folder = folder
        self.certificate = folder / "ca.pem"
        (folder / "ca.cnf").write_text(_CONFIG)
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        self._run(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip
        self._run("genrsa", "-out", "server.key", "2048")

    def issue(
        self, name: str, *, alt: str = "DNS:localhost,IP:127.0.0.1", use: str = "serverAuth", **dates: str
    ) -> Path:
        """A file with a server's certificate and key; `dates`: openssl's `startdate` and `enddate`."""
        (self.folder / "wanted").write_text(f"extendedKeyUsage={use}\nsubjectAltName={alt}\n")
        self._run("req", "-new", "-key", "server.key", "-subj", "/CN=A server", "-out", "server.csr")
        span = [word for option, date in dates.items() for word in (f"-{option}", date)] or ["-days", "7"]
        self._run(
            "ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-extfile", "wanted", "-in", "server.csr", "-out", "server.pem", *span,
        )  # fmt: skip
        return self._paired(name)

    def sign_itself(self, name: str) -> Path:
        """A file with a certificate that nobody signed, and its key."""
        self._run(
            "req", "-x509", "-key", "server.key", "-days", "7", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", "server.pem",
        )  # fmt: skip
        return self._paired(name)

    def _paired(self, name: str) -> Path:
        pair = self.folder / f"{name}.pem"
        pair.write_bytes(b"".join((self.folder / f"server.{part}").read_bytes() for part in ("pem", "key")))
        return pair

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)


def offering(pair: Path, *, only: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's side; `only` that version of the protocol, also one that is long forbidden."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if only is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = only
    context.load_cert_chain(pair)
    return context


@dataclass(slots=True)
class Overheard:
    """What a server got: bytes on the line, and what of it came out of the encryption."""

    port: int = 0
    connections: int = 0
    handshakes: int = 0
    line: bytearray = field(default_factory=bytearray)
    plain: bytearray = field(default_factory=bytearray)


@contextmanager
def serving(context: ssl.SSLContext | None, greeting: bytes = b"") -> Iterator[Overheard]:
    """A server in a thread, with TLS or without; it says `greeting` first, and answers `{}` to a request."""
    heard = Overheard()
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        heard.port = listener.getsockname()[1]

        def accept() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    line, _ = listener.accept()
                    with line:
                        line.settimeout(5)
                        heard.connections += 1
                        with suppress(OSError):
                            _converse(line, context, greeting, heard)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()


def _converse(line: socket.socket, context: ssl.SSLContext | None, greeting: bytes, heard: Overheard) -> None:
    def receive() -> bytes:
        data = line.recv(65_536)
        heard.line += data
        return data

    if context is None:
        line.sendall(greeting)
        if receive():
            line.sendall(_ANSWER)
        return
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(coming, going, server_side=True)

    def until_done(step: Callable[[], bytes | None]) -> bytes:
        while True:
            try:
                return step() or b""
            except ssl.SSLWantReadError:
                line.sendall(going.read())
                if not (data := receive()):
                    raise ConnectionResetError("it left in the middle") from None
                coming.write(data)
            finally:
                line.sendall(going.read())

    until_done(session.do_handshake)
    heard.handshakes += 1
    heard.plain += until_done(lambda: session.read(65_536))
    if heard.plain:
        session.write(_ANSWER)
        line.sendall(going.read())

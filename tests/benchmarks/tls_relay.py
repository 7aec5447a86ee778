"""`python -m tests.benchmarks.tls_relay CERTIFICATE KEY PORT`: ends TLS before a server on that port.

Prints its own port; at the end of its input prints the number of handshakes, and ends.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress

_HERE = "127.0.0.1"


async def main(certificate: str, key: str, port: int) -> None:
    """Until its input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handshakes = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal handshakes
        handshakes += 1
        there, back = await asyncio.open_connection(_HERE, port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    server = await asyncio.start_server(relay, _HERE, 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(handshakes, flush=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The bytes of one direction; at their end the other side is closed."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

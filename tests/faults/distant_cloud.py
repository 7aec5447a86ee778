"""`python -m tests.faults.distant_cloud ADDRESS CERTIFICATE KEY`: a cloud with TLS on that address.

Says its port; at the end of its input it says what it saw, as JSON, and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.certificates import Certificate
from tests.support.faulty_cloud import FaultyCloud
from tests.support.world import cloud_of


async def main(address: str, certificate: Certificate) -> None:
    """Until its input ends."""
    async with FaultyCloud(cloud_of()) as simulator:
        port = urlsplit(simulator.url).port

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            both = [asyncio.create_task(_copied(reader, back)), asyncio.create_task(_copied(there, writer))]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                back.close()
                writer.close()

        server = await asyncio.start_server(relay, address, 0, ssl=certificate.server_context())
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(simulator.counts.as_json()), flush=True)
        server.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Certificate(Path(sys.argv[2]), Path(sys.argv[3]))))

"""`shelly-collector run`: the service in the foreground."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, starting

if TYPE_CHECKING:
    from ssl import DefaultVerifyPaths


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--verbose", action="store_true", help="log at level debug")


def run(options: argparse.Namespace) -> int:
    """Collects until SIGTERM or SIGINT; a second one ends it at once. SIGHUP reloads the configuration."""
    early_reloads: list[int] = []  # SIGHUPs that come before the loop runs
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(exits.DONE))  # nothing has been started yet
    signal.signal(signal.SIGHUP, lambda number, frame: early_reloads.append(number))

    import asyncio

    settings = starting.settings_from_file(options.config)
    set_up_logs = partial(starting.set_up_logs, stream=sys.stdout, level="debug" if options.verbose else None)
    set_up_logs(settings)
    read_ca_certificates_when_needed(os.environ)

    from collector.archive.mark import remembered_by_service
    from collector.cli import in_service
    from collector.energy.days import wall_clock
    from collector.service.app import Signals, serve
    from collector.service.systemd import Notifier
    from collector.settings import Settings, load

    def load_again() -> Settings:
        return settings if settings.source is None else load(settings.source, os.environ)

    async def service() -> None:
        signals = Signals()
        starting.on_signals(signals.stop, signals.reload, terminated=exits.DONE)
        if early_reloads:
            signals.reload.set()
        remembered = remembered_by_service(settings.archive, os.environ)
        notifier = Notifier(os.environ)
        await serve(
            settings,
            load_again,
            signals,
            wall_clock,
            notifier,
            set_up_logs,
            remembered,
            in_service.commands(),
        )

    asyncio.run(service())
    return exits.DONE


def read_ca_certificates_when_needed(
    environ: MutableMapping[str, str], paths: DefaultVerifyPaths | None = None
) -> None:
    """Keeps OpenSSL from loading the file of all CA certificates; it finds those it needs in their folder.

    When aiohttp is imported it loads the file, which costs 2 MB for as long as the process runs. Does nothing
    if the folder has fewer certificates than the file, or `environ` names another file or folder.
    """
    import re
    import ssl

    paths = paths or ssl.get_default_verify_paths()
    if environ.keys() & {paths.openssl_cafile_env, paths.openssl_capath_env}:
        return
    with suppress(OSError):
        in_file = Path(paths.openssl_cafile).read_bytes().count(b"-----BEGIN ")
        names = [path.name for path in Path(paths.openssl_capath).iterdir()]
        if sum(re.fullmatch(r"[0-9a-f]{8}\.\d+", name) is not None for name in names) >= in_file:
            environ[paths.openssl_cafile_env] = os.devnull

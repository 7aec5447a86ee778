"""`shelly-collector setup`: from the account's key to a configuration, asking on a terminal."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import shutil
import signal
import socket
import sys
import textwrap
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from collector.cli import PROGRAM, exits, starting
from collector.cli.terminal import STOPPING, Terminal, undisturbed
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacing
from collector.energy.days import system_timezone, wall_clock
from collector.errors import (
    AnswerError,
    ArchiveRefused,
    CollectorError,
    KeyRefused,
    RateLimited,
    Rejected,
    SourceError,
)
from collector.redaction import printable, redactor
from collector.service.systemd import CONFIGURATION, UNIT, unit_files
from collector.settings import keys
from collector.settings.files import ENVIRONMENT, locate, places
from collector.settings.schema import DEFAULT_ARCHIVE, NAME, PATH, AccountSettings, Settings
from collector.setup import entering
from collector.setup.changes import (
    THE_KEY,
    CannotChange,
    Change,
    Present,
    changes_of,
    load_alone,
    new_files,
    read_present,
    text_of,
)
from collector.setup.configuration import (
    PAGE_HERE,
    NewMeter,
    NewPage,
    keeps_owner,
    page_at_home,
    save_together,
)
from collector.setup.meters import Candidate, Roof, Verdict, called, folder_name, pair_of, with_roof
from collector.status import counted

if TYPE_CHECKING:
    import asyncio

    from collector.cloud.client import CloudClient
    from collector.cloud.devices import CloudMeter, Devices
    from collector.service.backfill import Rehearsal
    from collector.setup.survey import Oldest

_T = TypeVar("_T")
_LONGEST_NAME = 26
_OWN_ARCHIVE = "shelly-data"
_SERVICE_GROUP = "shelly-collector"
_MANUAL = Path("/usr/share/man/man5/shelly-collector.toml.5.gz")  # of the package
_LOOK_UP_S = 10.0
_KINDS = {Kind.EM: "two clamps", Kind.EM3: "three phases"}
_ONLINE = {True: "online", False: "offline", None: ""}
_INTRODUCTION = (
    "This finds the energy meters of your Shelly account and writes the configuration of the collector. "
    "Nothing is written before you agree. Ctrl-C ends it at any time.",
    f"You need the key and the server: {entering.WHERE}. Anyone who has the key can turn your devices on and "
    "off, so it is not shown here.",
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="HOST", help="the account's server, as the app shows it")
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="a file with the account's key, which is copied (default: $SHELLY_COLLECTOR_AUTH_KEY, or it is "
        "asked for)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration to write, or to add meters to (default: the one in use; without one as root "
        f"{CONFIGURATION}, else ~/.config/shelly-collector/config.toml)",
    )
    parser.add_argument(
        "--archive",
        metavar="DIR",
        help=f"folder of the day files, for a new configuration (default: as root {DEFAULT_ARCHIVE}, else "
        f"~/{_OWN_ARCHIVE})",
    )
    parser.add_argument(
        "--yes", action="store_true", help="take all meters and all suggestions; ask only for server and key"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written, and write nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Returns 0 if there is a configuration that works, 1 if no meter was found or a check failed."""
    import asyncio

    for number in STOPPING - {signal.SIGINT}:  # else the terminal would stay without echo
        signal.signal(number, _interrupt)
    with asyncio.Runner() as runner:
        setup = _Setup(options, Terminal(), runner)
        try:
            return setup.run()
        except KeyboardInterrupt:
            print(f"\n\nStopped. {setup.written}", file=sys.stderr)
            return exits.INTERRUPTED
        except SourceError as error:
            print(textwrap.fill(f"{_failure(error)} {setup.written}", 78), file=sys.stderr)
            return exits.KEY_REFUSED if isinstance(error, KeyRefused) else exits.SOURCE_UNAVAILABLE


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


class _Setup:
    """The steps in their order; `written`: what is on the disk now, in a sentence."""

    def __init__(self, options: argparse.Namespace, terminal: Terminal, runner: asyncio.Runner) -> None:
        self.yes: bool = options.yes
        self.options, self.terminal, self.runner = options, terminal, runner
        self.written = "Nothing was written."
        self.page: NewPage | None = None
        self.devices: tuple[CloudMeter, ...] = ()  # all meters of the account
        self.path = _path(options.config)
        self.present = _present(self.path)
        self.pacing = replace(self.present.settings.pacing if self.present else Pacing(), max_in_flight=1)
        self.zone = system_timezone(os.environ)
        self.is_service = self.path == CONFIGURATION and bool(unit_files())

        from collector.service.accounts import Pacers

        self.pacers = Pacers()

    def run(self) -> int:
        self._check_usage()
        if self.terminal.is_there:
            for text in _INTRODUCTION:
                self.terminal.say(text)
                self.terminal.say()
        account, devices = self._connect()
        present = self._account_present(account, devices)
        new = self._choose(account, devices, present)
        changes = self._changes(account, present, new)
        if not changes:
            if not devices.meters:
                self.terminal.say(self._no_meters(account))
                return exits.IN_PART
            if self.present is None:
                self.terminal.say("No meter was chosen: nothing was written.")
                return exits.IN_PART
            self.terminal.say(f"Nothing is new: {self.path} stays as it is.")
        else:
            self._show(changes, account, new)
            if self.options.dry_run:
                self.terminal.say("Nothing was written, because of --dry-run.")
                return exits.DONE
            if not (self.yes or self.terminal.agree("Write this?")):
                self.terminal.say("Nothing was written.")
                return exits.DONE
            self._write(changes)
        if self.options.dry_run:
            return exits.DONE
        code = self._check()
        self._finish(changes)
        return code

    def _awaited(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self.terminal.unechoed():
            return self.runner.run(work)

    # -- Server and key ---------------------------------------------------------------------------------

    def _check_usage(self) -> None:
        """Raises `Refused` if it cannot end well, before anything is asked or requested."""
        options = self.options
        if not self.terminal.is_there:
            missing = []
            if options.host is None and self.present is None:
                missing.append("--host HOST")
            has_key = options.key_file or os.environ.get(keys.ENVIRONMENT) or self._has_present_key()
            if not has_key:
                missing.append(f"--key-file FILE or ${keys.ENVIRONMENT}")
            if not (self.yes or options.dry_run):
                missing.append("--yes or --dry-run")
            if missing:
                needed = ", and ".join(missing)
                raise starting.Refused(exits.USAGE, f"There is no terminal to ask on: give {needed}.")
        if self.present is not None and options.archive is not None:
            raise starting.Refused(
                exits.USAGE,
                f"--archive is for a new configuration: in {self.path} change path under [archive].",
            )
        if self.present is None:
            _check_writable(self.path.parent)
            if (archive := self._archive()) is not None:
                _check_archive(archive)
        elif not options.dry_run:
            if not os.access(self.path.parent, os.W_OK):
                _check_writable(self.path.parent)
            if not keeps_owner(self.path):
                raise starting.Refused(
                    exits.CANNOT_CREATE,
                    f"{self.path} belongs to another user or group, and only root can keep that: run setup "
                    "with sudo.",
                )

    def _has_present_key(self) -> bool:
        return self.present is not None and self.present.has_keys

    def _connect(self) -> tuple[Account, Devices]:
        """The account as the user gave it, and its devices. Raises `SourceError`, `Refused`."""
        host, key = self._given()
        while True:
            host = host or self._ask_host()
            key = key or self._ask_key()
            account = Account("home", host, key)
            _set_up_logs(key)
            name = _host_of(account)
            self.terminal.say(f"Looking for the meters on {name} ...")
            try:
                return account, self._awaited(self._devices(account))
            except RateLimited:
                raise
            except (SourceError, AnswerError) as error:
                if not self.terminal.is_there:
                    if isinstance(error, SourceError):
                        raise
                    raise starting.Refused(exits.SOURCE_UNAVAILABLE, _failure(error)) from None
                self.terminal.say()
                self.terminal.say(_failure(error))
                if isinstance(error, KeyRefused):
                    self.terminal.say(
                        f"Either the key is an old one (a new password makes a new key), or {name} is the "
                        "server of another region. Compare both with the app, and enter them again."
                    )
                self.terminal.say()
                host = self._ask_host(host)
                key = self._ask_key(key)

    def _given(self) -> tuple[str, str]:
        """Server and key from flags and environment, or as they are; else empty. Raises `Refused`."""
        present = self.present.settings.accounts if self.present else ()
        host = key = ""
        if self.options.host is not None:
            host = _entered(lambda: entering.host_entered(self.options.host), "--host")
        if self.options.key_file is not None:
            path = self.options.key_file
            key = _entered(lambda: keys.read_key_file(path), str(path))
        elif os.environ.get(keys.ENVIRONMENT):
            text = os.environ[keys.ENVIRONMENT]
            key = _entered(lambda: entering.key_entered(text), f"${keys.ENVIRONMENT}")
        hosts = [each.account.base_url for each in present]
        if not self.terminal.is_there or self.yes:
            host = host or next(iter(hosts), "")
            own = [each.account.auth_key for each in present if each.account.base_url == host]
            key = key or (next(iter(own), "") if self._has_present_key() else "")
        return host, key

    def _ask_host(self, default: str = "") -> str:
        present = self.present.settings.accounts if self.present else ()
        default = default or next((each.account.base_url for each in present), "")
        while True:
            try:
                return entering.host_entered(self.terminal.ask("Server", default.removeprefix("https://")))
            except ValueError as error:
                self.terminal.say(str(error))

    def _ask_key(self, default: str = "") -> str:
        """The key that was typed; the default, or the one of the configuration, if nothing was."""
        if not default and self._has_present_key() and self.present is not None:
            default = self.present.settings.accounts[0].account.auth_key
        hint = "Enter keeps the present one; it is not shown" if default else "it is not shown"
        while True:
            text = self.terminal.ask_unseen(f"Key ({hint})")
            if default and not text.strip():
                return default
            try:
                return entering.key_entered(text)
            except ValueError as error:
                self.terminal.say(str(error))

    async def _devices(self, account: Account) -> Devices:
        from collector.cloud.client import look_up, open_session
        from collector.cloud.devices import fetch_devices

        await look_up(account, _LOOK_UP_S)
        async with open_session() as session:
            return await fetch_devices(self._client(account, session))

    def _client(self, account: Account, session: Any) -> CloudClient:
        from collector.cloud.client import CloudClient
        from collector.setup.survey import RETRY

        pacer = self.pacers.of(account, self.pacing, RETRY.timeout_s)
        return CloudClient(session, account, pacer, RETRY)

    def _account_present(self, account: Account, devices: Devices) -> AccountSettings | None:
        """The account of the configuration that it is: with the same key, or else with meters of it."""
        if self.present is None:
            return None
        accounts = self.present.settings.accounts
        here = [each for each in accounts if each.account.base_url == account.base_url]
        same = [each for each in here if self.present.has_keys and each.account.auth_key == account.auth_key]
        ids = {each.id for each in devices.meters}
        same = same or [each for each in here if _ids(each.meters) & ids]
        if len(same) == 1:
            return same[0]
        if not devices.meters:
            self.terminal.say(self._no_meters(account))
            raise starting.Refused(exits.IN_PART, f"{self.path} stays as it is.")
        raise starting.Refused(
            exits.USAGE,
            f"{self.path} has no account on {_host_of(account)} with one of these meters. To begin again, "
            'move it away. A second account gets a file of its own: see "Many accounts" in docs/install.md.',
        )

    # -- Meters -----------------------------------------------------------------------------------------

    def _choose(
        self, account: Account, devices: Devices, present: AccountSettings | None
    ) -> list[tuple[Candidate, Meter]]:
        """The new meters, with their names."""
        settings = self.present.settings if self.present else None
        self.devices = tuple(devices.meters)
        known = _ids(settings.meters) if settings else set()
        fresh = [each for each in devices.meters if each.id not in known]
        self._list(devices, fresh)
        if not fresh:
            return []
        chosen = fresh if self.yes or not self.terminal.is_there else self._selected(fresh)
        candidates = self._decided(account, chosen)
        taken = [meter.name for meter in settings.meters] if settings else []
        named = []
        for each in candidates:
            name = self._name(each, taken)
            taken.append(name)
            named.append((each, replace(each.meter, name=name)))
        return named

    def _list(self, devices: Devices, fresh: Sequence[CloudMeter]) -> None:
        if not devices.meters:
            return
        others = f", and {counted(devices.others, 'other device')}" if devices.others else ""
        self.terminal.say()
        self.terminal.say(f"The account has {counted(len(devices.meters), 'meter')}{others}:")
        numbers = {each.id: str(number) for number, each in enumerate(fresh, 1)}
        for each in devices.meters:
            model = _cut(f"{each.model or 'unknown model'}, {_KINDS[each.kind]}", 27)
            notes = [_ONLINE[each.online], "shared" * each.is_shared, "collected" * (each.id not in numbers)]
            state = ", ".join(filter(None, notes))
            name = _cut(called(each, ()), _LONGEST_NAME)
            print(f"{numbers.get(each.id, '-'):>3}  {name:{_LONGEST_NAME}}  {model:27}  {state}".rstrip())
            if each.name and self._called(each) != each.name:
                self.terminal.say(f"Its ID: {each.id}.", "     ")
            if each.doubt:
                self.terminal.say(f"Its kind is a guess: {each.doubt}.", "     ")
        if any(each.is_shared for each in devices.meters):
            self.terminal.say("Shared: the meter belongs to another account, which shares it with this one.")
        if devices.gap:
            self.terminal.say(f"Not known: {devices.gap}.")
        self.terminal.say()

    def _selected(self, fresh: list[CloudMeter]) -> list[CloudMeter]:
        while True:
            answer = self.terminal.ask("Which ones? Numbers like 1 3; Enter for all; 0 for none")
            words = answer.replace(",", " ").split()
            if words == ["0"]:
                return []
            if all(word.isdecimal() and 1 <= int(word[:9]) <= len(fresh) for word in words):
                picked = {int(word) for word in words} or range(1, len(fresh) + 1)
                return [each for number, each in enumerate(fresh, 1) if number in picked]
            self.terminal.say(f"Please enter numbers from 1 to {len(fresh)}.")

    def _decided(self, account: Account, devices: Sequence[CloudMeter]) -> list[Candidate]:
        """The devices as meters, their clamps and pairs decided by the cloud's data or by the user."""
        if any(each.kind is Kind.EM for each in devices) or len(devices) > 1:
            self.terminal.say("Reading some days, to see what is on a solar roof: some seconds a meter ...")
        asks = self.terminal.is_there and not self.yes
        while True:
            try:
                found = self._awaited(self._candidates(account, devices))
                break
            except SourceError as error:
                if not asks:
                    raise
                self.terminal.say(_failure(error))
                if not self.terminal.agree("Try again?"):
                    raise starting.Refused(exits.SOURCE_UNAVAILABLE, self.written) from None
        decided = list[Candidate]()
        for each in found:
            if each.meter.kind is Kind.EM:
                name = self._called(each.devices[0])
                if not each.is_open:
                    self.terminal.say(f"{name}: {_clamps(each.meter)}. {each.why}")
                    if not asks or self.terminal.agree("Is that right?"):
                        decided.append(each)
                        continue
                else:
                    self.terminal.say(f"{name}: {each.why}")
                decided.append(self._asked(each) if asks else self._assumed(each))
        return decided + self._paired([each for each in found if each.meter.kind is Kind.EM3])

    def _paired(self, found: Sequence[Candidate]) -> list[Candidate]:
        """The three-phase devices as meters: with each one on a roof goes the grid meter that the user names.

        Of several grid meters no data show which it is, so none is taken without an answer.
        """
        asks = self.terminal.is_there and not self.yes
        roofs = [each.devices[0] for each in found if each.on_roof]
        grids = [each.devices[0] for each in found if not each.on_roof]
        is_clear = len(roofs) == len(grids) == 1
        pairs, alone = list[Candidate](), list[str]()
        for roof, why in zip(roofs, (each.why for each in found if each.on_roof), strict=True):
            name = self._called(roof)
            grid: CloudMeter | None = None
            if is_clear:
                self.terminal.say(
                    f"{name} is on a solar roof; with {self._called(grids[0])} as its grid meter they become "
                    f"one meter. {why}"
                )
                grid = grids[0] if not asks or self.terminal.agree("Is that right?") else None
            else:
                self.terminal.say(f"{name} is on a solar roof. {why}")
                grid = self._grid_of(name, grids) if asks and grids else None
            if grid is None:
                alone.append(name)
                self.terminal.say(f"{name} is stored as a meter of its own.")
            else:
                grids = [each for each in grids if each != grid]
                pairs.append(pair_of(grid, roof))
        if alone and not asks:
            self.terminal.say(
                "Warning: the data do not show which grid meter belongs to which roof. To store two 3EMs as "
                f"one meter, before the first collection: in {self.path} write pv_id with the roof's ID "
                "under the grid meter, and remove the roof's own section."
            )
        in_pairs = {device for each in pairs for device in each.devices}
        return pairs + [each for each in found if each.devices[0] not in in_pairs]

    def _grid_of(self, roof: str, grids: Sequence[CloudMeter]) -> CloudMeter | None:
        """The grid meter that the user names for the roof; `None` for none."""
        for number, each in enumerate(grids, 1):
            self.terminal.say(self._called(each), f"{number:>3}  ")
        self.terminal.say("none of these", "  0  ")
        while True:
            answer = self.terminal.ask(f"Which is the grid meter of {roof}?")
            if answer.isdecimal() and (number := int(answer[:9])) <= len(grids):
                return grids[number - 1] if number else None
            self.terminal.say(f"Please enter a number from 0 to {len(grids)}.")

    def _called(self, device: CloudMeter) -> str:
        return called(device, self.devices)

    async def _candidates(self, account: Account, devices: Sequence[CloudMeter]) -> list[Candidate]:
        from collector.cloud.client import open_session
        from collector.setup.survey import with_clamps, with_roofs

        async with open_session() as session:
            client = self._client(account, session)
            ems = [each for each in devices if each.kind is Kind.EM]
            found = [await with_clamps(client, each, wall_clock, self.zone) for each in ems]
            rest = [each for each in devices if each.kind is Kind.EM3]
            return found + await with_roofs(client, rest, wall_clock, self.zone)

    def _asked(self, candidate: Candidate) -> Candidate:
        """The meter with the clamps that the user chooses."""
        base = Meter("", candidate.meter.id)
        options = [
            base,
            replace(base, grid_channel=1, solar_channel=0),
            replace(base, solar=False),
            replace(base, grid_channel=1, solar_channel=0, solar=False),
        ]
        for number, each in enumerate(options, 1):
            self.terminal.say(f"{_clamps(each)}", f"{number:>3}  ")
        while True:
            answer = self.terminal.ask("Which is right?", "1")
            if answer in ("1", "2", "3", "4"):
                return replace(candidate, meter=options[int(answer) - 1], is_open=False)
            self.terminal.say("Please enter a number from 1 to 4.")

    def _assumed(self, candidate: Candidate) -> Candidate:
        assumed = with_roof(candidate, Verdict(Roof.SECOND, candidate.why))
        self.terminal.say(
            f"Assumed: {_clamps(assumed.meter)}. If that is wrong, change grid_channel, solar_channel or "
            f"solar in {self.path}."
        )
        return assumed

    def _name(self, candidate: Candidate, taken: Sequence[str]) -> str:
        """The meter's name: of its folder, which must be new or its own."""
        first = candidate.devices[0]
        used = list(taken)
        while self._is_of_another(
            suggested := folder_name(first.name or first.model, first.id, used), candidate
        ):
            used.append(suggested)
        if self.yes or not self.terminal.is_there:
            return suggested
        while True:
            name = self.terminal.ask(f"Name of the folder for the files of {self._called(first)}", suggested)
            try:
                NAME.read(name)
            except ValueError:
                self.terminal.say(f"Not possible: it must be {NAME.allowed}.")
                continue
            if name.casefold() in {each.casefold() for each in taken}:
                self.terminal.say("Another meter has this name already.")
            elif self._is_of_another(name, candidate):
                self.terminal.say("In this folder are files of another meter already.")
            else:
                return name

    def _is_of_another(self, name: str, candidate: Candidate) -> bool:
        from collector.archive.folder import day_files
        from collector.archive.mark import mark_for

        folder = self._archive_in_force() / name
        try:
            mark = mark_for(folder, replace(candidate.meter, name=name).identity)
            return mark is None and folder.is_dir() and bool(day_files(folder))
        except (ArchiveRefused, CollectorError):
            return True
        except OSError:
            return False  # the service's check reports it

    # -- What is written --------------------------------------------------------------------------------

    def _archive(self) -> Path | None:
        """The folder for a new configuration; `None` for the default one. Raises `Refused`."""
        place, named = "--archive", self.options.archive
        if named is None:
            place, named = "$SHELLY_COLLECTOR_ARCHIVE", os.environ.get("SHELLY_COLLECTOR_ARCHIVE") or None
        if named is None:
            return None if os.geteuid() == 0 else Path.home() / _OWN_ARCHIVE
        try:
            path: Path = PATH.read(named)
            return path.expanduser().absolute()
        except ValueError as error:
            raise starting.Refused(exits.USAGE, f"{place}: the path {error}.") from None
        except RuntimeError:
            user = printable(named).partition("/")[0].removeprefix("~")
            raise starting.Refused(exits.USAGE, f"{place}: no user {user} has a home folder here.") from None

    def _archive_in_force(self) -> Path:
        return self.present.settings.archive if self.present else self._archive() or DEFAULT_ARCHIVE

    def _changes(
        self, account: Account, present: AccountSettings | None, new: Sequence[tuple[Candidate, Meter]]
    ) -> list[Change]:
        """The files that differ from what is there. Raises `Refused` if they cannot be changed."""
        meters = [NewMeter(meter, _comment(candidate, meter)) for candidate, meter in new]
        try:
            if present is not None and self.present is not None:
                return changes_of(self.path, self.present, present, account, meters)
            group = _service_group() if self.is_service else -1
            if not meters:
                return []
            self.page = self._page()
            archive, has_manual = self._archive(), _MANUAL.exists()
            return new_files(self.path, account, meters, archive, group, self.page, has_manual=has_manual)
        except CannotChange as error:
            raise starting.Refused(exits.BAD_CONFIGURATION, str(error), error.by_hand) from None
        except OSError as error:
            reason = f"{error.filename} cannot be read: {error.strerror}. If it is root's, use sudo."
            raise starting.Refused(exits.CANNOT_CREATE, reason) from None

    def _page(self) -> NewPage | None:
        """The page that the user chooses; none for a script."""
        if self.yes or not self.terminal.is_there:
            return None
        self.terminal.say("The service can show the energy in a browser, on a page that only reads:")
        self.terminal.say("on this machine only", "  1  ")
        self.terminal.say("in the home network, with a password", "  2  ")
        self.terminal.say("no page", "  3  ")
        while True:
            answer = self.terminal.ask("Where?", "1")
            if answer == "1":
                return PAGE_HERE
            if answer == "2":
                return page_at_home(self.path.with_name("page_password"), socket.gethostname())
            if answer == "3":
                return None
            self.terminal.say("Please enter a number from 1 to 3.")

    def _show(
        self, changes: Sequence[Change], account: Account, new: Sequence[tuple[Candidate, Meter]]
    ) -> None:
        """What will be written, without keys, and what the first collection takes."""
        redact = redactor([account.auth_key, *(self.present.settings.secrets if self.present else ())])
        self.terminal.say()
        for each in changes:
            path = each.file.path
            if each.secret:
                what = "which no other user can read"
                if each.before:
                    what = "which replaces the one that is there"
                self.terminal.say(f"To be written: {path}: {each.secret}, {what}.")
                continue
            self.terminal.say(f"To be {'changed' if each.before else 'written'}: {path}")
            lines = each.after.splitlines()
            if each.before:
                lines = list(
                    difflib.unified_diff(each.before.splitlines(), lines, "now", "then", "", "", 2, "")
                )
            for line in lines:
                print(f"    {printable(redact(line))}".rstrip())
        self.terminal.say()
        if new:
            self.terminal.say("Looking how far back the cloud's data go: some seconds a meter ...")
            self._show_costs(account, [meter for _, meter in new])

    def _show_costs(self, account: Account, meters: Sequence[Meter]) -> None:
        """The estimates for the meters and their sum. Nothing needs them, so a failure only ends them."""
        requests, duration_s = 0, 0.0
        for meter in meters:
            try:
                plan = self._show_cost(account, meter)
            except SourceError as error:
                self.terminal.say(f"The rest of this estimate is left out. {_failure(error)}")
                return
            except OSError as error:
                what = error.filename or self._archive_in_force()
                self.terminal.say(
                    f"The rest of this estimate is left out: {what} cannot be read: {error.strerror}."
                )
                return
            requests, duration_s = requests + plan.requests, duration_s + plan.duration_s
        if len(meters) > 1:
            self.terminal.say(
                f"Together about {how_long(duration_s)}, with at most {counted(requests, 'request')}: the "
                "cloud allows one request a second for a key."
            )

    def _show_cost(self, account: Account, meter: Meter) -> Rehearsal:
        from collector.service.backfill import Scope, rehearsed

        settings = self._rehearsal_settings(account, meter)
        oldest = self._awaited(self._oldest(account, meter))
        if oldest.day is not None:
            meter = replace(meter, since=oldest.day)
            settings = replace(settings, accounts=(replace(settings.accounts[0], meters=(meter,)),))
        (plan,) = rehearsed(settings, settings.accounts[0], Scope(settings.plan.backfill_days), wall_clock())
        begins = f"the cloud's data seem to begin on {oldest.day}. " if oldest.day else ""
        self.terminal.say(
            f"{meter.name}: {begins}The first collection fetches {counted(len(plan.days), 'day')}, with "
            f"at most {counted(plan.requests, 'request')} in {how_long(plan.duration_s)}; less if the cloud "
            f"returns several days at once. Files: {settings.folder_of(meter)}"
        )
        return plan

    def _rehearsal_settings(self, account: Account, meter: Meter) -> Settings:
        """The settings with this meter alone."""
        from collector.settings import from_flags

        if self.present is not None:
            base = self.present.settings
        else:
            base = replace(
                from_flags(
                    {},
                    needs_key=False,
                    host=account.base_url,
                    id=meter.id,
                    odir=str(self._archive_in_force()),
                ),
                flat=False,
            )
        return replace(base, accounts=(AccountSettings(account, (meter,)),))

    async def _oldest(self, account: Account, meter: Meter) -> Oldest:
        from collector.cloud.client import open_session
        from collector.setup.survey import oldest_day

        async with open_session() as session:
            return await oldest_day(self._client(account, session), meter, wall_clock, self.zone)

    def _write(self, changes: Sequence[Change]) -> None:
        from collector.archive.files import make_folder

        for each in changes:
            if text_of(each.file.path) != each.before:
                raise starting.Refused(
                    exits.CANNOT_SAVE, f"{each.file.path} was changed meanwhile. Run setup again."
                )
        try:
            mode = 0o755 if os.geteuid() == 0 else 0o700
            with undisturbed():
                self.path.parent.mkdir(mode=mode, parents=True, exist_ok=True)
                if self.present is None and (archive := self._archive()) is not None:
                    make_folder(archive)
                save_together([each.file for each in changes])
                self.written = f"The configuration was written before: {self.path}."
        except OSError as error:
            raise starting.Refused(
                exits.CANNOT_SAVE,
                f"{error.filename or self.path.parent} cannot be written: {error.strerror}.",
                "Nothing was changed.",
            ) from None
        self.terminal.say(f"Written: {', '.join(str(each.file.path) for each in changes)}.")

    # -- The end ----------------------------------------------------------------------------------------

    def _check(self) -> int:
        """The checks of `doctor`, without that of the service, which is not started yet."""
        from collector.doctor.checks import ok
        from collector.doctor.diagnosis import Diagnosis, diagnose

        settings = starting.checked(lambda: load_alone(self.path, os.environ), f"{self.path}: ")
        self.terminal.say()
        self.terminal.say("Checking everything, as `shelly-collector doctor` does ...")
        configuration = ok(f"{settings.source} is valid.")

        async def checked() -> Diagnosis:
            import asyncio

            await asyncio.sleep(self.pacing.min_interval_s)  # its requests have a rate of their own
            return await diagnose(settings, configuration, wall_clock, os.environ, has_keys=True)

        found = self._awaited(checked())
        not_yet = {"service"} if settings.archive.exists() else {"service", "archive"}  # made at its start
        checks = [each for each in found.checks if each.name not in not_yet or each.mark == "fail"]
        for each in checks:
            if each.mark in ("warn", "fail"):
                self.terminal.say(f"{each.subject}: {each.text} {each.cure}", f"{each.mark}  ")
        good = sum(each.mark == "ok" for each in checks)
        skipped = sum(each.mark == "skip" for each in checks)
        left_out = f"; {skipped} skipped" if skipped else ""
        self.terminal.say(f"{good} of {len(checks)} checks are ok{left_out}.")
        return exits.IN_PART if any(each.mark == "fail" for each in checks) else exits.DONE

    def _finish(self, changes: Sequence[Change]) -> None:
        self.terminal.say()
        self._finish_service(changes)
        if self.page is not None:
            name = "localhost" if self.page.password_file is None else next(iter(self.page.names), "ADDRESS")
            self.terminal.say(f"The page, while it collects: http://{name}:9787/")
        if self.page is not None and self.page.password_file is not None:
            self.terminal.say(
                f"If the browser does not find {name}, use this machine's address, which `hostname -I` "
                f"shows. The page needs any user name, and the password in {self.page.password_file}."
            )

    def _finish_service(self, changes: Sequence[Change]) -> None:
        if not self.is_service or os.geteuid() != 0:
            self._finish_by_hand(changes)
            return
        if not Path("/run/systemd/system").is_dir():
            self.terminal.say("systemd is not running here. At the next boot the service collects.")
        elif _systemctl("is-active", UNIT):
            if self.yes or self.terminal.agree("Start the service now, and at each boot?"):
                self._told(_systemctl("enable", "--now", UNIT), "The service collects now.")
            else:
                self.terminal.say(f"Next: systemctl enable --now {UNIT.removesuffix('.service')}")
        elif changes:
            word = _restart_or_reload(changes)
            if self.yes or self.terminal.agree(f"The service is running. Use this from now on ({word})?"):
                self._told(_systemctl(word, UNIT), "The service uses it now.")
            else:
                self.terminal.say(f"Next: systemctl {word} {UNIT.removesuffix('.service')}")
        else:
            self.terminal.say("The service is running.")
        self.terminal.say(f"How it goes: {PROGRAM} status")

    def _finish_by_hand(self, changes: Sequence[Change]) -> None:
        """The next commands for a collector that systemd does not start, or not by this user."""
        if (process := self._running()) is not None:
            self.terminal.say(f"The collector of this archive is running, as process {process}.")
            if changes:
                self.terminal.say("Next, to make it read the new configuration:")
                by_systemd = f"sudo systemctl {_restart_or_reload(changes)} {UNIT.removesuffix('.service')}"
                print(f"    {by_systemd if self.is_service else f'kill -HUP {process}'}")
            return
        program = _program()
        is_found = self.path == locate(None, {**os.environ, ENVIRONMENT: ""})
        config = "" if is_found else f" --config {shlex.quote(str(self.path))}"
        self.terminal.say("Next, to fetch the last 30 days:")
        print(f"    {program} backfill{config}")
        self.terminal.say("To collect from now on, every hour:")
        print(f"    {program} run{config}")

    def _running(self) -> int | None:
        """The process that collects into the archive of the configuration; `None` if there is none."""
        from collector.overview import status_of

        settings = starting.checked(lambda: load_alone(self.path, os.environ), f"{self.path}: ")
        try:
            status = status_of(settings.files, wall_clock(), os.environ)
        except OSError:  # of another user; the checks have said so
            return None
        return status.pid if status.is_running else None

    def _told(self, error: str, text: str) -> None:
        if error:
            raise starting.Refused(
                exits.IN_PART, f"The service could not be started: {error}", f"Next: {PROGRAM} doctor"
            )
        self.terminal.say(text)

    def _no_meters(self, account: Account) -> str:
        return (
            f"This account has no energy meter on {_host_of(account)}. If the app shows one, compare the "
            "server with the one that the app shows beside the key: the server of another region answers, "
            "too, but knows only shared devices."
        )


def _path(flag: Path | None) -> Path:
    """The configuration to write: the named one, the one that is there, or a new one of this user."""
    if (found := locate(flag, os.environ)) is not None:
        return found.absolute()
    if os.geteuid() == 0:
        return CONFIGURATION
    if unit_files():
        raise starting.Refused(
            exits.USAGE,
            f"The service is installed: `sudo {PROGRAM} setup` sets it up.",
            "For a collector of your own, without the service, name its configuration with --config FILE.",
        )
    own = {name: value for name, value in os.environ.items() if name in ("HOME", "XDG_CONFIG_HOME")}
    return places(own)[0]


def _present(path: Path) -> Present | None:
    """The configuration if there is one. Raises `Refused` with all that is wrong with it."""
    from collector.settings.files import is_there

    if not is_there(path):
        return None
    if not os.access(path, os.R_OK):
        raise starting.Refused(exits.CANNOT_CREATE, f"No permission to read {path}: run it with sudo.")
    return starting.checked(lambda: read_present(path, os.environ), f"{path}: ")


def _check_writable(folder: Path) -> None:
    place = _nearest(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        raise starting.Refused(
            exits.CANNOT_CREATE,
            f"No permission to write to {place}: run it with sudo, or name another file with --config.",
        )


def _check_archive(archive: Path) -> None:
    from collector.archive.folder import obstacle_in_the_way

    if obstacle := obstacle_in_the_way(archive):
        raise starting.Refused(exits.CANNOT_CREATE, f"{obstacle}: name another folder with --archive.")
    place = _nearest(archive)
    is_near = place in (archive, archive.parent)
    if not os.access(place, os.W_OK | os.X_OK if is_near else os.X_OK):
        raise starting.Refused(
            exits.CANNOT_CREATE,
            f"No permission to use {place}: run it with sudo, or name another folder with --archive.",
        )
    if not is_near:
        raise starting.Refused(
            exits.CANNOT_CREATE, f"{archive.parent} does not exist: mount the disk or create the folder."
        )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above that this user can see."""
    return next(each for each in (folder, *folder.parents) if os.access(each, os.F_OK))


def _restart_or_reload(changes: Sequence[Change]) -> str:
    has_new_key = any(each.secret == THE_KEY for each in changes)
    return "restart" if has_new_key else "reload"  # systemd reads the key only at a start


def _program() -> str:
    """The program as a shell finds it: by its name, or as it was called."""
    if shutil.which(PROGRAM) is not None:
        return PROGRAM
    called = Path(sys.argv[0])
    return (
        shlex.quote(str(called)) if called.name == PROGRAM else f"{shlex.quote(sys.executable)} -m collector"
    )


def _entered(read: Callable[[], str], name: str) -> str:
    try:
        return read()
    except ValueError as error:
        raise starting.Refused(exits.USAGE, f"{name}: {error}") from None


def _set_up_logs(key: str) -> None:
    from collector import logs

    logs.configure(
        format="console", level="error", secrets=(key, *logs.secrets_in_force()), stream=sys.stderr
    )


def _failure(error: SourceError | AnswerError) -> str:
    """An error of the cloud, with what to do, in sentences."""
    if isinstance(error, KeyRefused):
        return "The cloud refused the key."
    if isinstance(error, RateLimited):
        return (
            "The cloud allows one request a second, and another program with the same key sends them, or the "
            "app. Wait a minute, then run it again."
        )
    if isinstance(error, Rejected):
        return f"The server does not list devices: {error.reason}. Is it the one that the app shows?"
    reason = error.reason if isinstance(error, SourceError) else f"its answer cannot be used ({error})"
    cure = error.cure if isinstance(error, SourceError) else ""
    return f"The cloud did not answer: {reason}. {cure}".strip()


def _host_of(account: Account) -> str:
    return account.base_url.removeprefix("https://")


def _ids(meters: Sequence[Meter]) -> set[str]:
    return {each for meter in meters for each in (meter.id, meter.pv_id) if each}


def _cut(text: str, width: int) -> str:
    text = printable(text)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def how_long(duration_s: float) -> str:
    """`12 minutes`, `4 hours`."""
    if duration_s < 5400:
        return counted(max(1, round(duration_s / 60)), "minute")
    return counted(round(duration_s / 3600), "hour")


def _clamps(meter: Meter) -> str:
    grid = f"clamp {meter.grid_channel + 1} on the grid"
    if not meter.solar:
        return f"{grid}, no clamp on a solar roof"
    return f"{grid}, clamp {meter.solar_channel + 1} on the solar roof"


def _comment(candidate: Candidate, meter: Meter) -> str:
    """The meter in words, for the comment in the file."""
    named = " and ".join(
        f'"{each.name}" ({each.model})' if each.name else each.model for each in candidate.devices
    )
    if meter.kind is Kind.EM:
        return f"{named}: {_clamps(meter)}"
    return f"{named}: the second one on the solar roof" if meter.pv_id else named


def _service_group() -> int:
    import grp

    try:
        return grp.getgrnam(_SERVICE_GROUP).gr_gid
    except KeyError:
        return -1


def _systemctl(*words: str) -> str:
    """Runs it; why it failed, empty if it did not."""
    import subprocess

    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip() or "it failed")

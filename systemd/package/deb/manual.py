"""shelly-collector(1): the manual page of the program."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from collector import __version__
from collector.archive.mark import REMEMBERED_NAME, SYSTEM
from collector.cli import COMMANDS, PROGRAM, exits
from collector.doctor.checks import NAMES
from collector.events import EVENTS
from collector.settings.schema import DEFAULT_ARCHIVE
from collector.verify.files import CODES
from collector.web.metrics import METRICS
from deb import roff
from deb.commands import Verb, verbs

_ABOUT = (
    "The Shelly Cloud keeps the hourly history of an energy meter for three years, and then forgets. "
    "`shelly-collector` fetches that history and keeps it as plain files: one JSONL file a day, complete "
    "and right. It is set up once and forgotten: gaps are filled automatically, the rate limit is respected, "
    "and missing hours are left out, never written as zero.",
    "As a service it runs under systemd. Data goes to standard output, logs and progress to standard error.",
)
_STEPS = f"sudo {PROGRAM} setup"
ENVIRONMENT = {
    "SHELLY_COLLECTOR_CONFIG": "The configuration file, if `--config` does not name one.",
    "SHELLY_COLLECTOR_AUTH_KEY": "The account's key, unless a credential or `auth_key_file` gives it; for "
    "`setup` the key to write.",
    "SHELLY_COLLECTOR_ARCHIVE": "Overrides `path` of `[archive]`.",
    "SHELLY_COLLECTOR_LOG_FORMAT": "Overrides `format` of `[log]`.",
    "SHELLY_COLLECTOR_LOG_LEVEL": "Overrides `level` of `[log]`.",
    "CONFIGURATION_DIRECTORY": "A folder with a `config.toml`; systemd sets it.",
    "CREDENTIALS_DIRECTORY": "A folder with the key as `auth_key` or `auth_key.ACCOUNT`; systemd sets it.",
    "STATE_DIRECTORY": "The service's folders; systemd sets it. The last one that is not the archive has the "
    "list of the archives that there have been.",
    "RUNTIME_DIRECTORY": "The folder of the service's status file, which `status` reads, and of the socket "
    "at which it receives commands. systemd sets it to a folder in memory; without it the file is beside the "
    "archive.",
    "XDG_RUNTIME_DIR": "The folder of `shelly-collector` with that socket, if the service does not run under "
    "systemd; without it the service receives no commands.",
    "XDG_CONFIG_HOME": "The folder that has your own `shelly-collector/config.toml`; otherwise `~/.config`.",
    "XDG_STATE_HOME": "The folder of `shelly-collector/archives.json`, the list of the archives that there "
    "have been, if the service does not run under systemd; otherwise `~/.local/state`.",
    "HOME": "Your own folder: `~` in a path means this folder.",
    "TZ": "The time zone of this machine, which is used until the cloud has named a meter's; otherwise the "
    "system's setting.",
    "SSL_CERT_FILE": "A file with the CA certificates to trust; otherwise the system's.",
    "SSL_CERT_DIR": "A folder with the CA certificates to trust; otherwise the system's.",
    "https_proxy": "Not used, and neither are the three below: a message says so if there is no connection.",
    "HTTPS_PROXY": "Not used.",
    "all_proxy": "Not used.",
    "ALL_PROXY": "Not used.",
    "NOTIFY_SOCKET": "Where the service reports that it is ready and alive; systemd sets it.",
    "WATCHDOG_USEC": "How often it has to report that it is alive; systemd sets it.",
    "WATCHDOG_PID": "The process that has to report it; systemd sets it.",
    "JOURNAL_STREAM": "Set by systemd: the lines of the log begin with their priority.",
    "INVOCATION_ID": "Set by systemd, with the same effect.",
    "NO_COLOR": "No colours in the log, whatever the terminal.",
}
"""The variables that the program reads, each with what it does."""
FILES = {
    f"/etc/{PROGRAM}/config.toml": "The configuration of the service: `0640`, root and the group "
    f"`{PROGRAM}`. The service does not start until it is there.",
    f"/etc/{PROGRAM}/config.d/*.toml": "More accounts, with the same mode and group; see "
    f"`man {PROGRAM}.toml`.",
    f"/etc/{PROGRAM}/auth_key": "The account's key, alone: `0600`, root. systemd gives the service a copy "
    f"when it starts: after a change of the key, `systemctl restart {PROGRAM}`.",
    f"/etc/{PROGRAM}/page_password": "The password of the page, alone, if `password_file` of `[web]` names "
    f"this file: `0640`, root and the group `{PROGRAM}`.",
    f"{DEFAULT_ARCHIVE}/METER/YYYY-MM-DD.jsonl": "A day, one JSON object an hour. Neither removing "
    f"nor purging the package deletes it. To let a user read the files: `adduser USER {PROGRAM}`.",
    f"{DEFAULT_ARCHIVE}/METER/.collector/": "Internal files: request history, checksums, quarantined "
    "files, the lock. Do not delete them.",
    str(
        SYSTEM / REMEMBERED_NAME
    ): "The list of archives that the service has had, so that it notices a disk that is not "
    "mounted. Without it, it would create a new archive in the empty folder.",
    f"/usr/share/doc/{PROGRAM}/examples/config.toml": "An example: every setting with its default.",
}
SIGNALS = {
    "SIGTERM, SIGINT": "Ends it after the days in progress, at most five seconds later; a second one ends "
    "it at once.",
    "SIGHUP": "Reads the configuration again. If the new one has errors, the service keeps the one in force.",
}


def page(day: date) -> str:
    """The whole page, in roff."""
    return "".join(_sections(day))


def _sections(day: date) -> Iterator[str]:
    yield roff.title(PROGRAM, 1, day, f"{PROGRAM} {__version__}", "User Commands")
    yield roff.heading("NAME")
    yield (
        rf"{roff.escaped(PROGRAM)} \- keeps the hourly history of Shelly energy meters as plain files" + "\n"
    )
    yield roff.heading("SYNOPSIS")
    yield f"{roff.bold(PROGRAM)} \\fICOMMAND\\fR [\\fIOPTION\\fR ...]\n"
    yield roff.heading("DESCRIPTION")
    yield roff.prose(_ABOUT[0])
    yield from (roff.paragraph(each) for each in _ABOUT[1:])
    yield roff.heading("FIRST STEPS")
    yield roff.prose(
        "This finds the meters of the account, writes the configuration and starts the service. It asks for "
        "the account's server and key, which the app shows: User settings > Authorization cloud key."
    )
    yield roff.example(_STEPS)
    yield roff.heading("COMMANDS")
    for verb in verbs():
        yield from _command(verb)
    yield roff.subheading(f"{PROGRAM} --version, --help")
    yield roff.prose(
        "Prints the version, or the list of commands. `--help` after a command prints its options."
    )
    yield from _list("SIGNALS", SIGNALS)
    yield from _list("EXIT STATUS", {str(code): meaning for code, meaning in exits.MEANINGS.items()})
    yield from _list("ENVIRONMENT", ENVIRONMENT)
    yield from _list("FILES", FILES)
    yield from _list("EVENTS", EVENTS)
    yield from _list("METRICS", {name: f"{metric.help}." for name, metric in METRICS.items()})
    yield from _list("CHECKS", NAMES)
    yield from _list("FINDINGS", CODES)
    yield roff.heading("EXAMPLES")
    yield roff.prose("One for each command:")
    yield roff.example("\n".join(f"{PROGRAM} {command.example}" for command in COMMANDS.values()))
    yield roff.heading("SEE ALSO")
    yield ".BR shelly\\-collector.toml (5),\n.BR systemctl (1),\n.BR journalctl (1)\n"


def _command(verb: Verb) -> Iterator[str]:
    yield roff.subheading(" ".join((PROGRAM, *verb.words)))
    yield roff.prose(f"{verb.help[0].upper()}{verb.help[1:]}.")
    yield roff.paragraph(f"Usage: `{verb.usage}`")
    for operand in verb.operands:
        yield roff.item(operand.usage, operand.help or "See above.")
    for option in verb.options:
        if option.offered == "--help":  # explained once, for all
            continue
        yield roff.item(option.spelled, option.help)


def _list(name: str, meanings: dict[str, str]) -> Iterator[str]:
    yield roff.heading(name)
    for term, meaning in meanings.items():
        yield roff.item(term, meaning)

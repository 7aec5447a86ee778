"""Where stored hours are sent: the target of each `[[publish]]` table."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class TargetKind(StrEnum):
    """The kinds of targets."""

    HOME_ASSISTANT = "homeassistant"
    INFLUX = "influx"


@dataclass(frozen=True, slots=True)
class Target:
    """A target. `token`: of Home Assistant or InfluxDB, or `user:password`; may be empty for InfluxDB.

    `meters`: the names of those that are sent; all if empty. `measurement` and `cumulative`, for InfluxDB:
    as in `export influx`.
    """

    name: str
    kind: TargetKind
    url: str
    token: str = field(default="", repr=False)
    meters: tuple[str, ...] = ()
    measurement: str = "energy"
    cumulative: bool = False

    @property
    def host(self) -> str:
        """The host and port, for messages."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def is_influx_1(self) -> bool:
        """Whether hours are written as to InfluxDB 1, which VictoriaMetrics takes too."""
        return not self.url.partition("?")[0].endswith((_V2, _V3))


_V2, _V3 = "/api/v2/write", "/api/v3/write_lp"
_WRITES = ("/write", _V2, _V3)
_SECRETS = {"u", "p", "token", "auth_token"}


def checked_url(kind: TargetKind, url: str) -> str:
    """The address of a target of that kind, as it is used; raises `ValueError` with what is wrong with it.

    InfluxDB's addresses: `/write` of version 1, `/api/v2/write` of 2, `/api/v3/write_lp` of 3, with what they
    need to know in the query; the precision is set here. https://docs.influxdata.com/influxdb3/core/write-data/
    """
    from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit  # here: most have no target

    scheme, host, path, query, _ = parts = urlsplit(url)
    try:
        is_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_host = False
    if not is_host or (":" in (parts.hostname or "") and "[" not in host):
        raise ValueError("must have a host and a port from 1 to 65535; an IPv6 address in brackets")
    if kind is TargetKind.HOME_ASSISTANT:
        if path.strip("/") or query:
            raise ValueError("must end after the host and port, like http://homeassistant.local:8123")
        return f"{scheme}://{host}"
    path = path.rstrip("/")
    if not path.endswith(_WRITES):
        raise ValueError(
            "must be the address to write to: http://HOST:8086/write?db=NAME for InfluxDB 1 and "
            "VictoriaMetrics, http://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET for InfluxDB 2, "
            "http://HOST:8181/api/v3/write_lp?db=NAME for InfluxDB 3"
        )
    fields = parse_qsl(query, keep_blank_values=True)
    if any(name.lower() in _SECRETS for name, _ in fields):
        raise ValueError("must not contain a user, password or token: write them into token_file")
    fields = [each for each in fields if each[0] != "precision"]
    fields.append(("precision", "second" if path.endswith(_V3) else "s"))
    return urlunsplit((scheme, host, path, urlencode(fields), ""))

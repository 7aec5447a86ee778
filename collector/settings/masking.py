"""The configuration in force as TOML text, without its secrets: what `config show` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any

from collector.cloud.meters import Account, Meter
from collector.redaction import MASK, redactor
from collector.settings.schema import LISTS, TABLES, AccountSettings, Settings


def masked(settings: Settings) -> str:
    """TOML with the same settings, except for the keys; default values are marked."""
    origin = f"of {toml(str(settings.source))}" if settings.source else "of the flags given"
    lines = [f"# The configuration in force, {origin}"]
    values = (settings, *(getattr(settings, each.name) for each in fields(settings)))
    objects = {type(each): each for each in values}
    for kind in TABLES:
        if kind not in LISTS:
            lines += ["", f"[{kind}]", *_lines(kind, objects)]
    for each in settings.accounts:
        lines += ["", "[[account]]", *_account_lines(each)]
    return redactor(settings.secrets)("\n".join(lines) + "\n")


def _account_lines(each: AccountSettings) -> Iterator[str]:
    yield from _lines("account", {Account: each.account})
    yield f'auth_key = "{MASK}"  # from {each.key_source}, not shown'
    for meter in each.meters:
        yield from ("", "[[account.meter]]", *_lines("meter", {Meter: meter}))


def _lines(kind: str, objects: Mapping[type, Any]) -> Iterator[str]:
    """The lines of a table, with the values of these objects."""
    for setting in TABLES[kind]:
        if setting.of is None or setting.only not in (None, getattr(objects[setting.of], "kind", None)):
            continue
        value = getattr(objects[setting.of], setting.attribute)
        is_default = not setting.required and value == setting.default
        written = _host_alone(value) if setting.secret else setting.form.write(value)
        if written is None:
            yield f"# {setting.key} is not set"
        else:
            yield f"{setting.key} = {toml(written)}{'  # default' if is_default else ''}"


def _host_alone(secret: str | None) -> str | None:
    """A URL with its path masked; any other secret is masked whole."""
    scheme, separator, rest = (secret or "").partition("://")
    host, slash, path = rest.partition("/")
    if not separator:
        return secret and MASK
    return f"{scheme}{separator}{host}{slash}{MASK if path else ''}"


def toml(value: object) -> str:
    """The value as it is written in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(toml(each) for each in value)}]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else repr(value)
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)  # JSON's escapes are TOML's too
    return json.dumps(text, ensure_ascii=not text.isprintable())

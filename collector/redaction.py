"""Redaction: a secret never leaves, in whatever encoding it is about to. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection
from urllib.parse import quote

MASK = "***"
_SHORTEST = 4  # a shorter secret is no secret, and would blot out half of every line
_SHORTEST_BASE64 = 8
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]")  # no encoder touches these
_QUOTES = "\"'"
_ENTITIES = {"&": "&amp;|&#38;", "<": "&lt;", ">": "&gt;", '"': "&quot;|&#34;", "'": "&#x27;|&#39;"}


def redactor(secrets: Collection[str]) -> Callable[[str], str]:
    """A function that puts `***` for every secret in a text, raw or in any usual encoding.

    Raw, URL-quoted with whatever safe set, JSON- and repr-escaped, HTML-escaped, base64 in both
    alphabets and in each of its three alignments. Secrets of less than 4 characters are ignored.
    """
    usable = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
    forms = [form for secret in usable for form in (secret, *_base64_cores(secret))]
    if not forms:
        return str
    if all(_UNRESERVED.fullmatch(char) for form in forms for char in form):
        return _literal_redactor(forms)
    pattern = re.compile("|".join(_pattern(form) for form in forms))

    def redact(text: str) -> str:
        # Again until nothing is left: what stands around a mask may make up the secret anew.
        while pattern.search(text):
            text = pattern.sub(MASK, text)
        return text

    return redact


def _literal_redactor(forms: list[str]) -> Callable[[str], str]:
    """The usual case: real keys are alphanumeric and look the same in a URL, in JSON and in repr."""

    def redact(text: str) -> str:
        for form in forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    return redact


def _base64_cores(secret: str) -> list[str]:
    """What base64 makes of the secret whatever stands before and after it, in both alphabets."""
    data = secret.encode("utf-8", "surrogatepass")
    if len(data) < _SHORTEST_BASE64:
        return []
    cores: dict[str, None] = {}
    for before in range(3):
        first = (before * 8 + 5) // 6  # the characters before are shared with other bytes
        last = (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            cores[encode(b"\0" * before + data).decode()[first:last]] = None
    return list(cores)


def _pattern(text: str) -> str:
    """A regular expression for the text with each character escaped, or not, in the usual ways.

    Runs of backslashes are counted, not repeated one by one: each layer of escaping doubles them,
    and nested repetition would take for ever on a long run.
    """
    parts = []
    backslashes = 0
    for char in text:
        if char == "\\":
            backslashes += 1
            continue
        parts.append(_backslashes(backslashes))
        parts.append(_char_pattern(char, after_backslash=backslashes > 0))
        backslashes = 0
    parts.append(_backslashes(backslashes))
    return "".join(parts)


def _backslashes(count: int) -> str:
    return rf"(?:\\|%5[Cc]){{{count},}}" if count else ""


def _char_pattern(char: str, *, after_backslash: bool) -> str:
    if _UNRESERVED.fullmatch(char):
        return re.escape(char)
    quoted = quote(char, safe="", errors="surrogatepass")
    hexadecimal = "".join(f"[{d.upper()}{d.lower()}]" if d.isalpha() else d for d in quoted)
    code = f"{ord(char):04x}"
    unicode_escape = rf"\\+u{''.join(f'[{d.upper()}{d}]' if d.isalpha() else d for d in code)}"
    escaped = "" if after_backslash else r"\\*" if char in _QUOTES else r"\\?" if char == "/" else ""
    options = [escaped + re.escape(char), hexadecimal, unicode_escape]
    options += [r"\+"] if char == " " else []
    options += [_ENTITIES[char]] if char in _ENTITIES else []
    return f"(?:{'|'.join(options)})"

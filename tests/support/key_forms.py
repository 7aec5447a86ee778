"""An awkward key, and every form in which a careless line could show one."""

from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from tests.support.stand_in_cloud import KEY

AWKWARD_KEY = "Zq9/+=&%\"\\'{}$;<>~:awkward0KEY"


def forms_of(secret: str) -> list[bytes]:
    """The secret in every encoding that a careless line could give it."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms |= {repr(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]}
    forms |= {re.sub("%..", lambda match: match[0].lower(), form) for form in forms if "%2" in form}
    forms.add(re.sub(r'(["\\$`])', r"\\\1", secret))  # as `systemctl show` and shells quote it
    encoded = [form.encode() for form in forms]
    for shift in range(3):  # where it stands among other bytes decides its base64
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded.append(encode(b"x" * shift + secret.encode())[4 if shift else 0 : -4])
    return encoded


def everything_said(error: BaseException) -> str:
    """The texts of the error and of all that caused it, as a careless log would show them."""
    told = [
        text for each in _chain(error) for text in (str(each), repr(each), repr(vars(each)), repr(each.args))
    ]
    return "\n".join([*told, *traceback.format_exception(error)])


def assert_keeps_the_key(error: BaseException) -> None:
    """No part of the stand-in cloud's key is in any text of the error."""
    said = everything_said(error)
    assert KEY not in said
    assert KEY[:24] not in said
    assert quote(KEY) not in said


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that hangs on it, suppressed or not."""
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)

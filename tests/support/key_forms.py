"""An awkward key, and every form in which a careless line could show one."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

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

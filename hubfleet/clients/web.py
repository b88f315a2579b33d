"""Plain HTTPS requests, verified against one certificate authority and nothing else."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from hubfleet.errors import CommandError

TIMEOUT_S = 5


def get_json(url: str, ca_file: Path, timeout: float = TIMEOUT_S) -> Any:
    """Return the JSON document at an https URL, None for an empty or other document.

    Raises CommandError where nobody answers within `timeout` seconds, the certificate is not ours,
    or the status is not 200.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:  # ssl.SSLError is one too
        raise CommandError(f"{ca_file} is no certificate authority: {error}") from error
    # Proxies of the environment have no part in a connection to this machine.
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=timeout) as answer:
            body = answer.read()
    except HTTPError as error:
        raise CommandError(f"{url} answers {error.code} {error.reason}") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CommandError(f"{url} does not answer: {reason}") from error
    try:
        return json.loads(body)
    except ValueError:
        return None

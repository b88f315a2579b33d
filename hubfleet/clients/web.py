"""Plain HTTPS requests, verified against the deployment's certificate authority."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from hubfleet.errors import CommandError

TIMEOUT_S = 5


def get_json(url: str, ca_file: Path, timeout: float = TIMEOUT_S, *, public: bool = False) -> Any:
    """Return the JSON document at an https URL, None for an empty or other document.

    A `public` address may be behind a proxy, and have a certificate of the system's authorities.
    Raises CommandError where nobody answers within `timeout` seconds, the certificate is not ours,
    or the status is not 200.
    """
    try:
        context = ssl.create_default_context(cafile=None if public else str(ca_file))
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one too
        raise CommandError(f"{ca_file} is no certificate authority: {error}") from error
    # Proxies of the environment have no part in a connection to this machine.
    proxies = ProxyHandler() if public else ProxyHandler({})
    opener = build_opener(proxies, HTTPSHandler(context=context))
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

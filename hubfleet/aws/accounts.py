"""Numbers of AWS accounts in what others may read, such as the plan beside a pull request.

They are no secret, and help whoever wants to be taken for somebody of that account. ARNs, names of
buckets and refusals of AWS hold them, too, so they are looked for in the whole text.
"""

import re
from collections.abc import Mapping
from typing import Any

NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{8}([0-9]{4})(?![0-9A-Za-z])")
"""An account has 12 digits; a part of a longer word, such as of an image's id, is none."""


def masked(value: Any) -> Any:
    """Return text, or the texts in lists and mappings, with an account's last four digits only."""
    if isinstance(value, str):
        return NUMBER.sub(r"********\1", value)
    if isinstance(value, Mapping):
        return {key: masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return value

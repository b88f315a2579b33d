"""The section `tls`: certificates of the web servers."""

from typing import Literal

from pydantic import Field

from hubfleet.settings_types import AbsolutePath, Section


class Acme(Section):
    """The authority that is asked by ACME (RFC 8555)."""

    directory: str = Field(
        pattern=r"^https://[^\s/]+/\S+$", description="https URL of the authority's directory."
    )
    email: str = Field(
        pattern=r"^([^\s@,]+@[^\s@,]+)?$", description="Where it reaches you; empty: nowhere."
    )


class Tls(Section):
    """Certificates of the web servers."""

    source: Literal["deployment_ca", "acme"] = Field(
        description="Who signs the hub's public certificate: the deployment's own authority, or "
        "one that browsers trust, asked by ACME where backend is aws."
    )
    directory: AbsolutePath = Field(description="Directory of certificate and key on a node.")
    acme: Acme

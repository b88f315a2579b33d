"""Can a deployment work with the Chef server that its settings name? Asks it, and changes nothing.

The rights are probed with a name that is taken: a server checks first whether a client may create
another at all (403), then whether the name is free (409; Chef Server API, POST /clients). Nothing
can come into being.
"""

from hubfleet.chef_server import Endpoint, require_files
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.errors import PreconditionError
from hubfleet.state import Deployment

FORBIDDEN, MISSING, TAKEN = 403, 404, 409


def examine(deployment: Deployment, server: Endpoint) -> str:
    """Return what is remarkable about an external server, empty where nothing is.

    Raises PreconditionError, with what to do, where the deployment could not work with it.
    """
    require_files(deployment)
    operator = Chef(server.url, deployment.operator_key, server.ca, server.operator)
    _require_organization(operator, server)
    _require_right(operator, server, "the operator")
    bootstrap = Chef(server.url, deployment.bootstrap_key, server.ca, server.bootstrap)
    _require_right(bootstrap, server, "the validator")
    if _may_create(bootstrap, server.bootstrap, validator=True):
        return (
            f"its validator {server.bootstrap!r} may create further validators: "
            "whoever has its key can register machines for ever"
        )
    return ""


def _require_organization(operator: Chef, server: Endpoint) -> None:
    """Raise PreconditionError unless the operator is known there and sees the validator."""
    try:
        clients = operator.clients()
    except ChefServerError as error:
        raise _refused(error, server) from error
    if server.bootstrap not in clients:
        raise PreconditionError(
            f"organization {server.url} has no client {server.bootstrap!r}",
            "create it there, or correct chef_server.external.bootstrap",
        )


def _refused(error: ChefServerError, server: Endpoint) -> PreconditionError:
    if error.status == MISSING:
        return PreconditionError(
            f"there is no organization {server.url}",
            "create it, or correct chef_server.external.url and chef_server.organization",
        )
    if error.status == FORBIDDEN:
        return PreconditionError(
            f"{server.operator!r} may not list the clients of {server.url}",
            "make it an administrator of the organization (group admins)",
        )
    return PreconditionError(
        f"{server.url} does not know {server.operator!r} with this key: {error.message}",
        "correct chef_server.external.operator, or the key in its place",
    )


def _require_right(chef: Chef, server: Endpoint, who: str) -> None:
    try:
        allowed = _may_create(chef, server.bootstrap)
    except ChefServerError as error:
        raise PreconditionError(
            f"{server.url} refuses {who} {chef.client!r}: {error.message}",
            "its key must be the one that the server has of it",
        ) from error
    if not allowed:
        raise PreconditionError(
            f"{who} {chef.client!r} may not create clients in {server.url}",
            "give it the right `create` on the container `clients`",
        )


def _may_create(chef: Chef, taken: str, *, validator: bool = False) -> bool:
    """Say whether a client may create another one, by the name `taken` that nobody can get."""
    document = {"name": taken, "validator": validator}
    try:
        chef.wire.object("POST", "/clients", document)
    except ChefServerError as error:
        if error.status == FORBIDDEN:
            return False
        if error.status == TAKEN:
            return True
        raise
    raise PreconditionError(
        f"the client {taken!r} was gone for a moment and exists again, without a key",
        "give it its key again on the Chef server",
    )

"""Students of a deployment: who plays one in `verify`, in the end-to-end tests, in a benchmark."""

from hubfleet.clients.hub import HubError, Student
from hubfleet.errors import PreconditionError
from hubfleet.state import Deployment

__all__ = ["HubError", "Student", "address", "student"]

_ADDRESS = "import socket; print(socket.gethostbyname(socket.gethostname()))"


def student(deployment: Deployment, name: str, base_path: str = "") -> Student:
    """Return a student named `name`, with the password that all users of a local deployment share.

    `base_path` is where on the deployment's host the hub lies, such as `/stock`. Raises
    PreconditionError where the deployment has no such password.
    """
    secret = deployment.secrets_dir / "hub" / "login_password"
    try:
        password = secret.read_text().strip()
    except OSError as error:
        raise PreconditionError(
            f"{secret} cannot be read ({error.strerror})",
            "only a deployment with hub.authenticator dummy has students to play",
        ) from error
    return Student(deployment.url + base_path, name, password, deployment.ca_crt)


async def address(who: Student) -> str:
    """Return the address of a student's server on the overlay, as its kernel knows it."""
    return await who.run(_ADDRESS)

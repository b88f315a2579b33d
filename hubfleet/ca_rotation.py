"""A new certificate authority for a deployment, while nodes converge and students work.

Three phases, each of which leaves a deployment that works and tells from its files where it is:

1. trust both: every node learns both authorities; the old one still vouches for the servers
2. change over: the new one vouches for the servers
3. trust the new one: the old one is forgotten

`ca.crt` holds the authorities to be trusted, the one that vouches first; `ca.key` is its key.
`ca.next.crt` and `ca.next.key` are the new one's until it has taken over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from hubfleet import identity
from hubfleet.console import Console
from hubfleet.converge import converge, require_all
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Fleet
from hubfleet.pki import Authority, certificates_in
from hubfleet.settings import Settings
from hubfleet.state import Deployment, write_private


class Phase(StrEnum):
    """Where a rotation is."""

    NONE = "none is under way"
    TRUST_BOTH = "nodes learn to trust both authorities"
    CHANGE_OVER = "the new authority takes over"
    FORGET = "the old authority is forgotten"


def phase(trusted: list[str], coming: str | None) -> Phase:
    """Return where a rotation is, from `ca.crt` and `ca.next.crt` (None: there is none); pure."""
    if coming is not None:
        return Phase.CHANGE_OVER if trusted[0] == coming else Phase.TRUST_BOTH
    return Phase.FORGET if len(trusted) > 1 else Phase.NONE


@dataclass(frozen=True)
class CaRotation:
    """One rotation, or the rest of one that was cut off."""

    deployment: Deployment
    settings: Settings
    fleet: Fleet
    console: Console

    @property
    def phase(self) -> Phase:
        """Where it is."""
        coming = self.deployment.next_ca_crt
        text = coming.read_text() if coming.exists() else None
        return phase(certificates_in(self.deployment.ca_crt), text)

    def run(self) -> None:
        """Go through the phases that are left.

        Raises what a converge raises; the next run goes on in the same phase.
        """
        steps = self.steps()
        self.console.plan(len(steps))
        for title, step in steps:
            with self.console.stage(title):
                step()

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """Return what is left to do, in words and deeds."""
        all_steps: list[tuple[Phase, str, Callable[[], None]]] = [
            (Phase.TRUST_BOTH, "trust both authorities", self._trust_both),
            (Phase.CHANGE_OVER, "the new authority vouches for the servers", self._change_over),
            (Phase.FORGET, "forget the old authority", self._forget),
        ]
        order = [Phase.NONE, *(each[0] for each in all_steps)]
        begun = order.index(self.phase)
        return [(title, step) for at, title, step in all_steps if order.index(at) >= begun]

    def _trust_both(self) -> None:
        deployment = self.deployment
        name = f"hubfleet {deployment.name} CA"
        Authority.ensure(deployment.next_ca_crt, deployment.next_ca_key, name)
        old = certificates_in(deployment.ca_crt)[0]
        write_private(deployment.ca_crt, old + deployment.next_ca_crt.read_text())
        identity.publish_authorities(deployment, self.settings)
        self._converge()

    def _change_over(self) -> None:
        deployment = self.deployment
        coming = deployment.next_ca_crt.read_text()
        others = [each for each in certificates_in(deployment.ca_crt) if each != coming]
        write_private(deployment.ca_crt, "".join([coming, *others]))
        write_private(deployment.ca_key, deployment.next_ca_key.read_bytes())
        deployment.next_ca_crt.unlink()
        deployment.next_ca_key.unlink()
        self._reissue()

    def _forget(self) -> None:
        self._reissue()
        new = certificates_in(self.deployment.ca_crt)[0]
        write_private(self.deployment.ca_crt, new)
        identity.publish_authorities(self.deployment, self.settings)
        self._converge()

    def _reissue(self) -> None:
        """Have the authority that vouches now sign what another has signed."""
        renewed = identity.ensure(self.deployment, self.settings)
        if renewed:
            self.console.say(f"  new certificates for {', '.join(renewed)}")
        self._converge()

    def _converge(self) -> None:
        nodes = self.fleet.list()
        if not nodes:
            raise PreconditionError("no machine runs", "deploy first")
        require_all(converge(self.deployment, self.fleet, nodes))

"""What Terraform calls the things of a stack that Python looks for; written down here alone."""

from dataclasses import dataclass

DEPLOYMENT_TAG = "hubfleet.deployment"
"""On groups and machines: the stack that they are part of."""

DEFAULT_POOL = "default"


@dataclass(frozen=True, slots=True)
class AwsNames:
    """Names within the stack of an environment; on AWS each environment is one deployment."""

    environment: str

    @property
    def stack(self) -> str:
        """Return what all names begin with."""
        return f"hubfleet-{self.environment}"

    @property
    def queue(self) -> str:
        """Return the queue of the controller's messages."""
        return f"{self.stack}-events"

    @property
    def homes(self) -> str:
        """Return the creation token of the file system with the students' homes."""
        return f"{self.stack}-homes"

    def artifacts(self, account: str, region: str) -> str:
        """Return the bucket of policies and backups."""
        return f"{self.stack}-{account}-{region}"

    def group(self, pool: str) -> str:
        """Return the Auto Scaling group of a pool (setting autoscaler.pools.order)."""
        workers = f"{self.stack}-workers"
        return workers if pool == DEFAULT_POOL else f"{workers}-{pool}"

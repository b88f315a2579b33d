"""What runs inside the hub: configuration and spawner."""

from hubfleet.hub.configure import configure

__all__ = ["configure"]

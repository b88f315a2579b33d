"""Capabilities for node containers: all that this machine may give, computed, not listed twice."""

from pathlib import Path

from hubfleet.errors import PreconditionError

_BY_BIT = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ"
)
NAMES = tuple(_BY_BIT.split())
"""By bit (linux/capability.h). Later ones (PERFMON, BPF, ...) are unknown to older engines."""

NEEDED = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "MKNOD", "SETFCAP", "SYS_CHROOT")
"""Without these neither systemd nor a Docker engine works in a container."""

STATUS = Path("/proc/self/status")


def bounding_set(status: str) -> list[str]:
    """Return the names in the bounding set that a /proc/<pid>/status document shows."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            bits = int(line.split()[1], 16)
            return [name for bit, name in enumerate(NAMES) if bits >> bit & 1]
    raise PreconditionError("the kernel does not say which capabilities this process may have")


def grantable() -> list[str]:
    """Return the capabilities that the engine, on this same machine, can give to a container."""
    return bounding_set(STATUS.read_text())

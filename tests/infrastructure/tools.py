"""Find the programs of the infrastructure tests: OpenTofu or Terraform, checkov, zizmor."""

import fcntl
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubfleet.aws.refusals import settled
from hubfleet.clients import infra_tools, process
from hubfleet.image_build import cache_dir
from hubfleet.state import ROOT

INSTALL_TIMEOUT_S = 600

NONE = (
    "neither tofu nor terraform is on PATH, and there is no folder of tools: install OpenTofu 1.10 "
    "or later, or name a folder that has it with HUBFLEET_TOOLS"
)


@dataclass(frozen=True)
class Tofu:
    """OpenTofu, or Terraform, as a test runs it."""

    tool: infra_tools.Tool

    def run(
        self, cwd: Path, *arguments: str, timeout: float = 120, **env: str
    ) -> process.Completed:
        """Run a command in a directory of .tf files; the caller judges what comes of it.

        Once more where a connection has broken off: moto's server ends each with its answer, and
        at times the provider loses the end of one.
        """
        quiet = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
        argv = [*arguments, "-no-color"]
        return settled(
            lambda: self.tool.run(argv, cwd=cwd, env=quiet | env, check=False, timeout=timeout)
        )


def find_tofu() -> Tofu | None:
    """Return OpenTofu or Terraform, or None where there is neither."""
    found = infra_tools.find(infra_tools.TOFU, cache_dir())
    return Tofu(found) if found else None


def checkov() -> Path:
    """Return checkov, from an environment of its own: it pins what the operator's has newer."""
    return _own("checkov")


def zizmor() -> Path:
    """Return zizmor, from an environment of its own: only these tests need it."""
    return _own("zizmor")


def _own(name: str) -> Path:
    """Return the program `name` of the environment that requirements/<name>.txt describes."""
    lock = ROOT / "requirements" / f"{name}.txt"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    target = cache_dir() / f"{name}-{key}"
    with _alone(target):
        if not (target / ".complete").exists():
            process.run([sys.executable, "-m", "venv", "--clear", target], timeout=120)
            pip: list[str | Path] = [
                target / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
            ]
            flags = ["--disable-pip-version-check", "--no-deps", "--require-hashes"]
            process.run([*pip, *flags, "-r", lock], timeout=INSTALL_TIMEOUT_S)
            (target / ".complete").touch()
    return target / "bin" / name


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock beside `target`: two checks of one user share the cache."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

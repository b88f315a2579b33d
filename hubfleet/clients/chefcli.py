"""chef-cli of the Ruby bundle, through the checkout's `bin/chef`: locks, archives, publishing."""

from pathlib import Path

from hubfleet.clients.process import Completed, run

TIMEOUT_S = 300
"""Locking and exporting take about 1 s, a first push of all cookbooks a few."""


def update(root: Path, policyfile: str) -> Completed:
    """Make the lock of `policyfile` (a path below `root`) anew."""
    return _chef(root, "update", policyfile)


def export(root: Path, policyfile: str, target: Path, group: str) -> Completed:
    """Write an archive of the policy, its cookbooks and the policy group `group` into `target`."""
    return _chef(root, "export", policyfile, str(target), "--archive", "--policy-group", group)


def push(root: Path, policyfile: str, group: str, config: Path) -> Completed:
    """Publish the policy to `group` of the Chef server that `config` (a config.rb) names."""
    return _chef(root, "push", group, policyfile, "--config", str(config))


def push_archive(root: Path, archive: Path, group: str, config: Path) -> Completed:
    """Publish an exported policy to `group` of the Chef server that `config` names."""
    return _chef(root, "push-archive", group, str(archive), "--config", str(config))


def _chef(root: Path, *args: str) -> Completed:
    return run([root / "bin" / "chef", *args], cwd=root, timeout=TIMEOUT_S)

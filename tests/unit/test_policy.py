"""Stale locks are found without Ruby; chef-cli's part is in tests/static/test_policy_tools.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hubfleet import policy
from hubfleet.cookbooks import identifier
from hubfleet.errors import PreconditionError, SettingsError, UsageError
from hubfleet.settings import policy_attributes, run_list
from tests.unit.checkout import Checkout

LOCK = "policyfiles/swarm_worker.lock.json"
ROLE = "roles/swarm_worker.json"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Return a checkout with fresh locks, written as chef-cli writes them."""
    made = Checkout(tmp_path)
    made.add_cookbooks()
    for name in policy.policies(tmp_path):
        write_lock(made, name)
    return made


def write_lock(checkout: Checkout, name: str) -> None:
    cookbooks = sorted(
        {item.split("[")[1].split("::")[0] for item in run_list(name, checkout.root)}
    )
    attributes = policy_attributes(name, checkout.root)
    lock = {
        "revision_id": f"revision-of-{name}",
        "name": name,
        "run_list": run_list(name, checkout.root),
        "cookbook_locks": {
            cookbook: {
                "identifier": identifier(checkout.root / "cookbooks" / cookbook),
                "source": f"../cookbooks/{cookbook}",
                "scm_info": None,
            }
            for cookbook in cookbooks
        },
        "default_attributes": attributes["default"],
        "override_attributes": attributes["override"],
    }
    checkout.set_text(f"policyfiles/{name}.lock.json", json.dumps(lock))


def test_fresh_locks_are_fine(checkout: Checkout) -> None:
    assert policy.check_locks(checkout.root) == []
    policy.require_fresh(checkout.root)


def append(file: str, text: str) -> Callable[[Checkout], object]:
    def change(checkout: Checkout) -> None:
        path = checkout.root / file
        path.write_text(path.read_text() + text)

    return change


STALE: dict[str, tuple[Callable[[Checkout], object], str]] = {
    "role": (
        lambda checkout: checkout.set(ROLE, "default_attributes.docker.log_max_files", 7),
        "default_attributes.docker.log_max_files: the lock has 2, the JSON says 7",
    ),
    "nested role": (
        lambda checkout: checkout.set("roles/base.json", "override_attributes.tls.directory", "/x"),
        "override_attributes.tls: not in the lock",
    ),
    "environment": (
        lambda checkout: checkout.set(
            "environments/staging.json", "default_attributes.notebook", {"uid": 1001}
        ),
        "default_attributes.staging.notebook: not in the lock",
    ),
    "environment gone": (
        lambda checkout: (checkout.root / "environments/staging.json").unlink(),
        "default_attributes.staging: only in the lock",
    ),
    "kind of number": (
        lambda checkout: checkout.set(ROLE, "default_attributes.notebook.cpu_limit", 1),
        "default_attributes.notebook.cpu_limit: the lock has 1.0, the JSON says 1",
    ),
    "image": (
        lambda checkout: checkout.set("images/lock.json", "notebook.tag", "new"),
        "default_attributes.images.notebook.tag: "
        'the lock has "tag-of-notebook", the JSON says "new"',
    ),
    "run list": (
        lambda checkout: checkout.edit(ROLE, lambda role: role["run_list"].pop()),
        "run_list: not that of the roles",
    ),
    "cookbook": (
        append("cookbooks/swarm/recipes/worker.rb", "# new\n"),
        "cookbook_locks.swarm: the cookbook has been edited",
    ),
    "cookbook gone": (
        lambda checkout: (checkout.root / "cookbooks/swarm").rename(checkout.root / "swarm"),
        "cookbook_locks.swarm: there is no such cookbook any more",
    ),
    "missing": (
        lambda checkout: (checkout.root / LOCK).unlink(),
        "missing, or not a policy lock",
    ),
    "merge conflict": (append(LOCK, "<<<<<<< HEAD\n"), "missing, or not a policy lock"),
    "other policy": (
        lambda checkout: checkout.set(LOCK, "name", "hub"),
        "name: the lock is of policy 'hub'",
    ),
}


@pytest.mark.parametrize("case", STALE)
def test_what_makes_a_lock_stale(checkout: Checkout, case: str) -> None:
    change, problem = STALE[case]
    change(checkout)
    assert policy.check_locks(checkout.root, ["swarm_worker"]) == [f"{LOCK}: {problem}"]
    with pytest.raises(PreconditionError, match="stale policy locks") as raised:
        policy.require_fresh(checkout.root)
    assert raised.value.exit_code == 3
    assert "policy.update" in raised.value.hint


def test_a_worker_attribute_is_no_news_for_the_others(checkout: Checkout) -> None:
    checkout.set(ROLE, "default_attributes.docker.log_max_files", 7)
    assert policy.check_locks(checkout.root, ["hub", "chef_server"]) == []


@pytest.mark.parametrize("file", ["spec/worker_spec.rb", "README.md", ".git/HEAD"])
def test_what_is_no_part_of_a_cookbook(checkout: Checkout, file: str) -> None:
    checkout.set_text("cookbooks/chefignore", "# comment\nspec/*\nREADME.md\n")
    path = checkout.root / "cookbooks/swarm" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    assert policy.check_locks(checkout.root) == []


def test_a_broken_role_is_an_error_of_its_own(checkout: Checkout) -> None:
    checkout.set(ROLE, "default_attributes.dokcer", {})
    with pytest.raises(SettingsError, match=r"did you mean 'docker'\?"):
        policy.check_locks(checkout.root)


def test_an_unknown_policy_is_named(checkout: Checkout) -> None:
    with pytest.raises(UsageError, match=r"no policy 'worker' \(did you mean 'swarm_worker'\?\)"):
        policy.check_locks(checkout.root, ["worker"])

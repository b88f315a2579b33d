"""The committed policy locks are what the JSON and the cookbooks say."""

import json

import pytest

from hubfleet import policy
from hubfleet.settings import ROOT, named_run_lists, policy_attributes, run_list


def test_no_lock_is_stale() -> None:
    assert policy.check_locks() == [], policy.REMEDY


@pytest.mark.parametrize("name", policy.policies())
def test_run_list_and_attributes_come_from_the_json(name: str) -> None:
    lock = json.loads((ROOT / f"policyfiles/{name}.lock.json").read_text())
    assert lock["run_list"] == run_list(name)
    assert lock.get("named_run_lists", {}) == named_run_lists(name)
    assert lock["default_attributes"] == policy_attributes(name)["default"]
    assert lock["override_attributes"] == policy_attributes(name)["override"]


@pytest.mark.parametrize("name", policy.policies())
def test_locks_name_no_machine_and_no_commit(name: str) -> None:
    lock = json.loads((ROOT / f"policyfiles/{name}.lock.json").read_text())
    for cookbook, entry in lock["cookbook_locks"].items():
        assert entry["source"] == f"../cookbooks/{cookbook}"
        assert entry["scm_info"] is None, "run ./invoke policy.update"


def test_a_policyfile_is_five_lines() -> None:
    for name in policy.policies():
        lines = (ROOT / f"policyfiles/{name}.rb").read_text().splitlines()
        assert len(lines) == 5, name
        assert lines[-1] == f"RolePolicy.apply(self, '{name}')"

"""The inputs of machine images as the scripts on the builder read them, and Packer with them."""

import json
import re
import tarfile
from pathlib import Path

import pytest

from hubfleet import bake, bake_inputs
from hubfleet.clients import infra_tools
from hubfleet.console import Console
from hubfleet.errors import CommandError
from hubfleet.image_build import cache_dir
from hubfleet.state import ROOT


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    bake_inputs.make(folder, bake_inputs.IMAGES, ROOT)
    return folder


def test_every_file_that_packer_uploads_is_made_and_no_other(inputs: Path) -> None:
    uploaded = set(
        re.findall(r"\$\{var\.inputs\}/([\w.]+)", (ROOT / "packer/build.pkr.hcl").read_text())
    )
    assert {path.name for path in inputs.iterdir()} == uploaded


@pytest.mark.parametrize("policy", bake_inputs.POLICIES.values())
def test_an_archive_has_the_group_and_the_run_list_that_the_script_converges(
    inputs: Path, policy: str
) -> None:
    with tarfile.open(inputs / f"{policy}.tgz") as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
        assert "policy_groups/local.json" in names
        (lock,) = (name for name in names if re.fullmatch(rf"policies/{policy}-\w+\.json", name))
        member = tar.extractfile(next(m for m in tar.getmembers() if m.name.endswith(lock)))
        assert member
        content = json.load(member)
    assert content["named_run_lists"]["image"]
    assert content["name"] == policy


def test_packer_takes_them(inputs: Path) -> None:
    if infra_tools.find(infra_tools.PACKER, cache_dir()) is None:
        pytest.skip("Packer is not installed")
    request = bake.Request.checked("staging", [], "")
    bake.validate(request, Console())


def test_a_subnet_that_is_none_is_said_by_packer() -> None:
    if infra_tools.find(infra_tools.PACKER, cache_dir()) is None:
        pytest.skip("Packer is not installed")
    with pytest.raises(CommandError) as caught:
        bake.validate(bake.Request.checked("staging", ["chef_server"], "here"), Console())
    assert "Expected an id such as" in caught.value.output

"""The user-data of an environment's machines, rendered by the stack's own files without an account.

`tofu test` applies the stack to a provider that invents what only AWS knows: what is in
brackets exists after a deploy. It runs in a copy, so nothing of it stays in the checkout.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubfleet.clients import infra_tools
from hubfleet.clients.infra_tools import Tool
from hubfleet.errors import CommandError, PreconditionError
from hubfleet.image_build import cache_dir
from hubfleet.state import ROOT

READS = ("terraform", "environments", "roles")
"""What the stack is made of; it reads its neighbours."""

RENDER = "tests/render"
"""Folder of the test that renders user-data, in terraform/."""

QUIET = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}

TIMEOUT_S = 300
"""Seconds of one run; the first of a machine fetches the provider of AWS, 600 MB."""


@dataclass(frozen=True)
class Rendered:
    """What the stack would have: user-data by role, as text, and names."""

    user_data: Mapping[str, str]
    stack: Mapping[str, Any]


@contextmanager
def copy_of_stack(root: Path = ROOT) -> Iterator[Path]:
    """Yield a copy of terraform/ beside copies of what it reads."""
    unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars")
    with tempfile.TemporaryDirectory(prefix="hubfleet-stack-") as folder:
        for name in READS:
            shutil.copytree(root / name, Path(folder) / name, ignore=unwanted)
        yield Path(folder) / "terraform"


def render(environment: str, root: Path = ROOT) -> Rendered:
    """Return what the stack would have.

    Raises PreconditionError without OpenTofu or its provider, CommandError where the stack refuses
    the environment.
    """
    tofu = infra_tools.require(infra_tools.TOFU, cache_dir(), root)
    with copy_of_stack(root) as stack:
        _init(tofu, stack)
        argv = ["test", f"-test-directory={RENDER}", f"-var=environment={environment}"]
        done = tofu.run(
            [*argv, "-json", "-verbose"], cwd=stack, env=QUIET, check=False, timeout=TIMEOUT_S
        )
    return parsed(done.stdout, environment)


def parsed(text: str, environment: str) -> Rendered:
    """Return what `tofu test -json -verbose` printed, a JSON object a line.

    Raises CommandError with what the stack says where it refuses the environment.
    """
    problems = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("type") == "test_state":
            outputs = event["test_state"]["values"]["outputs"]
            return Rendered(outputs["user_data"]["value"], outputs["stack"]["value"])
        if event.get("type") == "diagnostic" and event["diagnostic"]["severity"] == "error":
            problem = event["diagnostic"]
            problems.append(f"{problem['summary']}: {problem.get('detail', '')}".strip())
    first = problems[0].splitlines()[0] if problems else "it printed no state"
    raise CommandError(
        f"terraform/ cannot be rendered for {environment!r}: {first}",
        f"correct environments/{environment}.json",
        "\n".join(problems),
    )


def _init(tofu: Tool, stack: Path) -> None:
    try:
        tofu.run(["init", "-backend=false"], cwd=stack, env=QUIET, timeout=TIMEOUT_S)
    except CommandError as error:
        raise PreconditionError(
            "OpenTofu has no provider of AWS, and it cannot be fetched",
            "check the way out to registry.opentofu.org, or name a folder by HUBFLEET_TOOLS",
        ) from error

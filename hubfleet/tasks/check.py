"""Tasks `check` (what is fast) and `test` (everything)."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubfleet import images
from hubfleet.clients import process
from hubfleet.console import Console
from hubfleet.errors import CommandError, HubfleetError
from hubfleet.state import ROOT
from hubfleet.tasks.common import task

PART_TIMEOUT_S = 600
"""Seconds that one part of the check may take; the whole aims at 180."""

STACK = "tests/infrastructure/test_apply.py"

INFRASTRUCTURE_TIMEOUT_S = 1500
"""Seconds for the stack on AWS: eight minutes, most of which it waits for the provider's polls."""

REHEARSAL_TIMEOUT_S = 1200
"""Seconds for an environment on AWS with real machines: eight minutes."""

KITCHEN_TIMEOUT_S = 1200
"""Seconds for all suites of Test Kitchen, one after the other."""

DRILLS = "tests/chef_api/drills"

KITCHEN_LOG = ROOT / ".state" / "log" / "kitchen.log"


@dataclass(frozen=True)
class Part:
    """One independent check: a program to run in the checkout.

    With `summary` the last line that it prints is shown when all is well.
    """

    title: str
    argv: Sequence[str | Path]
    summary: bool = False
    timeout_s: float = PART_TIMEOUT_S


@dataclass(frozen=True)
class Outcome:
    """How a part ended, after how many seconds, and what it printed."""

    part: Part
    ok: bool
    seconds: float
    output: str


@task()
def check(console: Console) -> None:
    """Style, types, unit tests, scripts, cookbooks: all that needs no engine."""
    run_parts(console, parts())


@task()
def test(console: Console) -> None:
    """Everything: check, the Kitchen suites, then a deployment of its own, verified and removed."""
    # Imported here: `check` must work where parts of the deployment code do not.
    from hubfleet import verify

    started = time.monotonic()
    run_parts(console, parts())
    images.build(console)
    with beside(console, stack()):
        run_parts(console, [infrastructure(), fleets(), chef_drills(), image_layers()])
        kitchen(console)
    run_parts(console, [rehearsal()])
    verify.full_run(console)
    console.say(f"everything passed in {(time.monotonic() - started) / 60:.1f} min")


def parts() -> list[Part]:
    """Return the parts of the check, those that take longest first."""
    python = Path(sys.executable)
    rspec = ROOT / "bin" / "rspec"
    return [
        Part("unit and static tests", [python, "-m", "pytest", "tests/unit", "tests/static"], True),
        Part("ChefSpec", [rspec, *_specs("cookbooks/*/spec")], True),
        Part("Chef API", [python, "-m", "pytest", "tests/chef_api", f"--ignore={DRILLS}"], True),
        Part("types (mypy)", [python, "-m", "mypy"], True),
        Part("Ruby style (cookstyle)", [ROOT / "bin" / "cookstyle", "--format", "simple"]),
        Part("policy helper (RSpec)", [rspec, *_specs("policyfiles/spec")], True),
        Part("scripts (ShellCheck)", ["shellcheck", "--external-sources", *shell_scripts()]),
        Part("Python style (ruff check)", [python, "-m", "ruff", "check", "."]),
        Part("Python format (ruff format)", [python, "-m", "ruff", "format", "--check", "."]),
    ]


def chef_drills() -> Part:
    """Return the drills of a Chef server: crashes, full disks, restores, whole policies, load."""
    return Part("Chef API drills", [sys.executable, "-m", "pytest", DRILLS], True)


def fleets() -> Part:
    """Return the contract of all fleets; the local one makes its own containers."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/fleet"]
    return Part("fleets", argv, True)


def infrastructure() -> Part:
    """Return the tests of terraform/ and packer/ as they stand: OpenTofu's, Packer's, checkov's."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/infrastructure"]
    return Part("infrastructure", [*argv, f"--ignore={STACK}"], True, INFRASTRUCTURE_TIMEOUT_S)


def stack() -> Part:
    """Return the stack's life against moto, from the first deploy to the last destroy."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", STACK]
    return Part("stack on AWS", argv, True, INFRASTRUCTURE_TIMEOUT_S)


def rehearsal() -> Part:
    """Return an environment on AWS whose machines are node containers, with a student."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/rehearsal"]
    return Part("rehearsal of AWS", argv, True, REHEARSAL_TIMEOUT_S)


def image_layers() -> Part:
    """Return the test of what the built images hold, layer by layer."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/images"]
    return Part("image layers", argv, True)


def run_parts(console: Console, chosen: Sequence[Part]) -> None:
    """Run parts side by side, one line each; raise CommandError where any failed.

    A failed part's output is shown, a good one's is not.
    """
    started = time.monotonic()
    failed = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for future in as_completed([pool.submit(_run_part, part) for part in chosen]):
            outcome = future.result()
            _report(console, outcome)
            if not outcome.ok:
                failed.append(outcome.part.title)
    if failed:
        raise CommandError(f"{len(failed)} of {len(chosen)} checks failed: {', '.join(failed)}")
    console.say(f"{len(chosen)} checks passed in {time.monotonic() - started:.0f} s")


@contextmanager
def beside(console: Console, part: Part) -> Iterator[None]:
    """Run a part that waits for clocks most of the time during the block, to its end; report it.

    Raises CommandError where it failed, unless the block has raised something already.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(_run_part, part)
        try:
            yield
        finally:
            outcome = running.result()
            _report(console, outcome)
    if not outcome.ok:
        raise CommandError(f"{part.title} failed")


def kitchen(console: Console) -> None:
    """Run every Kitchen suite; its nodes are removed whatever comes out. Raises CommandError."""
    KITCHEN_LOG.unlink(missing_ok=True)
    with console.stage(f"kitchen test (log: {KITCHEN_LOG.relative_to(ROOT)})"):
        process.run(
            [ROOT / "bin" / "kitchen", "test", "--destroy=always"],
            cwd=ROOT,
            timeout=KITCHEN_TIMEOUT_S,
            log=KITCHEN_LOG,
        )


def shell_scripts() -> list[str]:
    """Return the shell scripts of the checkout, by their first line, relative to it."""
    listed = process.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT
    )
    names = sorted({name for name in listed.stdout.split("\0") if name})
    return [name for name in names if (ROOT / name).is_file() and _is_shell(ROOT / name)]


def _is_shell(path: Path) -> bool:
    """Tell a script, or a file that says it is sourced by one, from its first line."""
    with path.open("rb") as stream:
        line = stream.readline(100)
    if line.startswith(b"#!"):
        return line.rstrip().endswith((b"bash", b"/sh", b" sh"))
    return line.startswith(b"# shellcheck shell=")


def _specs(pattern: str) -> list[str]:
    """Return the spec files in the directories of `pattern`, relative to the checkout.

    Where there is none, the pattern itself: RSpec then fails, and does not pass with 0 examples.
    """
    found = ROOT.glob(f"{pattern}/**/*_spec.rb")
    return sorted(str(path.relative_to(ROOT)) for path in found) or [pattern]


def _run_part(part: Part) -> Outcome:
    started = time.monotonic()
    try:
        done = process.run(part.argv, cwd=ROOT, timeout=part.timeout_s, check=False)
        ok, output = done.returncode == 0, f"{done.stdout}{done.stderr}"
    except HubfleetError as error:
        ok, output = False, f"{error.message}\n{getattr(error, 'output', '')}"
    return Outcome(part, ok, time.monotonic() - started, output)


def _report(console: Console, outcome: Outcome) -> None:
    word = "ok" if outcome.ok else "failed"
    lines = [line for line in outcome.output.splitlines() if line.strip()]
    console.say(f"{outcome.part.title} ... {word} {outcome.seconds:.1f} s")
    if not outcome.ok:
        console.quote(outcome.output)
    elif outcome.part.summary and lines:
        console.quote(lines[-1])

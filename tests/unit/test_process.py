"""Programs are started for real."""

import time
from pathlib import Path

import pytest

from hubfleet.clients import process
from hubfleet.errors import CommandError, PreconditionError


def test_output_input_and_environment() -> None:
    done = process.run(
        ["sh", "-c", 'cat; echo "$COLOUR"; echo aside >&2'], input="given\n", env={"COLOUR": "red"}
    )
    assert done == process.Completed(0, "given\nred\n", "aside\n")


def test_arguments_are_not_read_by_a_shell(tmp_path: Path) -> None:
    assert process.run(["echo", "$(id) ; *", tmp_path]).stdout == f"$(id) ; * {tmp_path}\n"


def test_stdin_is_never_the_users() -> None:
    assert process.run(["cat"], timeout=5).stdout == ""


def test_a_failure_carries_the_command_and_the_last_lines() -> None:
    script = "for i in $(seq 100); do echo line $i; done; echo broken >&2; exit 7"
    with pytest.raises(CommandError) as caught:
        process.run(["sh", "-c", script])
    assert "failed with exit code 7" in caught.value.message
    assert "sh -c" in caught.value.message
    lines = caught.value.output.splitlines()
    assert len(lines) == process.TAIL_LINES
    assert lines[-2:] == ["line 100", "broken"]


def test_a_failure_may_be_an_answer() -> None:
    assert process.run(["false"], check=False).returncode == 1


def test_a_program_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 0\.3 s") as caught:
        # The grandchild keeps the outputs open; nobody waits for it.
        process.run(["sh", "-c", "echo begun; sleep 4 & exec sleep 60"], timeout=0.3)
    assert time.monotonic() - started < 3
    assert caught.value.output == "begun"


def test_a_missing_program_is_a_precondition() -> None:
    with pytest.raises(PreconditionError, match="'no-such-program' is not installed"):
        process.run(["no-such-program"])


def test_a_missing_directory_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="does not exist"):
        process.run(["true"], cwd=tmp_path / "gone")


def test_a_log_grows_and_its_run_is_returned(tmp_path: Path) -> None:
    log = tmp_path / "new" / "run.log"
    process.run(["sh", "-c", "echo first"], log=log)
    done = process.run(["sh", "-c", "echo out; echo err >&2"], log=log)
    assert done == process.Completed(0, "out\nerr\n", "")
    assert log.read_text() == "first\nout\nerr\n"


def test_a_failure_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        process.run(["sh", "-c", "echo why; exit 1"], log=tmp_path / "log")
    assert str(tmp_path / "log") in caught.value.hint
    assert caught.value.output == "why"


def test_broken_bytes_do_not_break_us() -> None:
    assert process.run(["printf", r"a\377b"]).stdout == "a\ufffdb"

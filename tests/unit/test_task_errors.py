"""What a task makes of errors: words on stderr, exit codes, a traceback in a file."""

import inspect
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.program import Program

from hubfleet.console import Console
from hubfleet.errors import CommandError, LockedError, PartialError, UsageError
from hubfleet.tasks import common
from hubfleet.tasks.common import task, whole_number

ERRORS: dict[str, BaseException] = {
    "usage": UsageError("wrong", "do it right"),
    "locked": LockedError("busy"),
    "partial": PartialError("half"),
    "command": CommandError("`x` failed", "", "its output"),
    "interrupt": KeyboardInterrupt(),
    "bug": ZeroDivisionError("oops"),
}


@task(help={"kind": "Which error."})
def fail(console: Console, kind: str, name: str | None = None, json: bool = False) -> None:
    """Fail."""
    console.table(("name",), [(name,)])
    if json:
        console.emit_json({"name": name})
    if kind in ERRORS:
        raise ERRORS[kind]


@pytest.fixture(autouse=True)
def error_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common, "ERROR_LOG", tmp_path / "log" / "errors.log")
    return common.ERROR_LOG


def run(*words: str) -> int:
    """Return the exit code of `invoke fail WORDS`."""
    try:
        Program(namespace=Collection(fail)).run(["invoke", "fail", *words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [("none", 0), ("usage", 1), ("locked", 3), ("partial", 4), ("interrupt", 130), ("bug", 1)],
)
def test_exit_codes(kind: str, code: int) -> None:
    assert run(kind) == code


def test_an_error_is_a_sentence_and_a_hint_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("usage")
    assert capsys.readouterr().err == "error: wrong\nhint: do it right\n"


def test_a_program_s_output_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run("command")
    assert capsys.readouterr().err == "error: `x` failed\n    its output\n"


def test_a_bug_is_one_line_and_a_traceback_in_a_file(
    capsys: pytest.CaptureFixture[str], error_log: Path
) -> None:
    run("bug")
    assert capsys.readouterr().err == (
        f"error: ZeroDivisionError: oops\nhint: the traceback is in {error_log}\n"
    )
    assert "Traceback" in error_log.read_text()
    run("bug", "--debug")
    assert "Traceback" in capsys.readouterr().err


def test_json_has_stdout_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    run("usage", "--json", "--name", "x")
    assert capsys.readouterr().out == '{\n  "name": "x"\n}\n'


def test_options_that_several_tasks_have_need_no_help_of_their_own() -> None:
    # A task of its own: Invoke forgets the help texts that it has once given out.
    made = task(help={"kind": "Which error."})(inspect.unwrap(fail.body))
    helps = {argument.name: argument.help for argument in made.get_arguments()}
    assert helps["json"] == common.HELP["json"]
    assert helps["debug"] == common.HELP["debug"]
    assert helps["kind"] == "Which error."


def test_numbers_are_read_strictly() -> None:
    assert whole_number("--port", None) is None
    assert whole_number("--port", "9000") == 9000
    for text in ("", "90x", "-1", "1.5", "９"):
        with pytest.raises(UsageError, match="--port"):
            whole_number("--port", text)

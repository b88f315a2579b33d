"""Start programs: the only module that uses `subprocess`."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hubfleet.errors import CommandError, PreconditionError

TAIL_LINES = 20
"""Lines of a failed program's output that its error carries."""

COMMAND_CHARS = 200
"""Characters of a command line that an error message shows."""

GRACE_S = 5
"""Seconds that a program has to clean up before it is killed."""


@dataclass(frozen=True)
class Completed:
    """What a program left: its exit code and what it printed (UTF-8, broken bytes replaced)."""

    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    input: str | None = None,  # noqa: A002 - the name that subprocess gave it
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    log: Path | None = None,
    grace: float | None = None,
) -> Completed:
    """Run a program to its end, without a shell.

    `timeout` is in seconds; `env` is added to this process's environment. With `log`, both outputs
    are appended to that file while the program runs, and returned together as `stdout`. With
    `grace`, the program has so many seconds to end once it is told to, and is told once: the
    terminal's Ctrl-C does not reach it beside.
    Raises PreconditionError where the program does not exist, CommandError where it did not end in
    time or, with `check`, ended with another code than 0.
    """
    command = [str(part) for part in argv]
    # Files, not pipes: a grandchild that outlives a killed program would keep a pipe open for ever.
    with tempfile.TemporaryFile() as source, _sink(log) as out, tempfile.TemporaryFile() as err:
        if input is not None:
            source.write(input.encode())
            source.seek(0)
        start = out.tell()
        code = _wait(
            command,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=source,
            stdout=out,
            stderr=subprocess.STDOUT if log else err,
            timeout=timeout,
            grace=grace,
        )
        done = Completed(0 if code is None else code, _read(out, start), _read(err, 0))
    if code is None:
        raise _error(command, f"did not end within {timeout:g} s", done, log)
    if check and code != 0:
        raise _error(command, f"failed with exit code {code}", done, log)
    return done


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last `lines` lines of `text` that hold anything."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _sink(log: Path | None) -> IO[bytes]:
    """Open the file that takes a program's output, positioned at its end."""
    if log is None:
        return tempfile.TemporaryFile()
    log.parent.mkdir(parents=True, exist_ok=True)
    sink = log.open("a+b")
    sink.seek(0, os.SEEK_END)
    return sink


def _wait(
    command: list[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: IO[bytes],
    stdout: IO[bytes],
    stderr: IO[bytes] | int,
    timeout: float | None,
    grace: float | None,
) -> int | None:
    """Start `command` and return its exit code, or None where it had to be killed."""
    try:
        program = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=grace is not None,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise PreconditionError(f"directory {cwd} does not exist") from error
        raise PreconditionError(
            f"program {command[0]!r} is not installed", "run ./invoke doctor"
        ) from error
    except PermissionError as error:
        raise PreconditionError(f"program {command[0]!r} may not be started: {error}") from error
    try:
        return program.wait(timeout)
    except subprocess.TimeoutExpired:
        _end(program, grace)
        return None
    except BaseException:
        _end(program, grace)
        raise


def _end(program: subprocess.Popen[bytes], grace: float | None) -> None:
    """End a program, with a moment to clean up."""
    program.terminate()
    try:
        program.wait(GRACE_S if grace is None else grace)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def _read(stream: IO[bytes], start: int) -> str:
    """Return what was written to `stream` after `start`."""
    stream.seek(start)
    return stream.read().decode(errors="replace")


def _error(command: list[str], what: str, done: Completed, log: Path | None) -> CommandError:
    """Build the error that names the command and carries the last lines of its output."""
    line = shlex.join(command)
    shown = line if len(line) <= COMMAND_CHARS else line[: COMMAND_CHARS - 1] + "…"
    hint = f"the whole output is in {log}" if log else ""
    return CommandError(f"`{shown}` {what}", hint, tail(f"{done.stdout}\n{done.stderr}"))

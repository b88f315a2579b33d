"""Everything a user reads: numbered stages, tables, JSON, questions.

Words go to stderr, data (tables, JSON) to stdout. Colour and the spinner appear on a terminal only,
never under CI or NO_COLOR; without a terminal each stage is one plain line.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console as RichConsole
from rich.status import Status
from rich.table import Table
from rich.text import Text

from hubfleet.errors import UsageError

PLAIN_WIDTH = 200
"""Columns of a table that no terminal bounds."""


@dataclass
class Stage:
    """How a stage comes out, as its body sees it."""

    ok: bool = True


class Console:
    """The one place that prints; safe to use from several threads.

    With `json_mode`, `table` prints nothing: stdout then holds what `emit_json` writes, alone.
    """

    def __init__(
        self, json_mode: bool = False, *, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.json_mode = json_mode
        self._data = _rich(stdout or sys.stdout)
        self._words = _rich(stderr or sys.stderr)
        self._live = self._words.is_terminal and not os.environ.get("CI")
        self._guard = threading.RLock()
        self._total = 0
        self._number = 0
        self._open_line = False
        self._status: Status | None = None

    def plan(self, total: int, done: int = 0) -> None:
        """Say how many stages there are; the next one's number is `done` + 1."""
        self._total, self._number = total, done

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """Show one stage: `[2/7] chef server ... ok 12.3 s`.

        It says `failed` where its body raises, or sets `ok` of what it is given to False.
        """
        self._number += 1
        label = f"[{self._number}/{max(self._total, self._number)}] {title} ..."
        started = time.monotonic()
        self._begin(label)
        stage = Stage()
        try:
            yield stage
        except BaseException:
            stage.ok = False
            raise
        finally:
            word, style = ("ok", "green") if stage.ok else ("failed", "bold red")
            self._end(label, word, style, time.monotonic() - started)

    def note(self, text: str) -> None:
        """Say what the running stage waits for: beside the spinner, and nowhere else."""
        with self._guard:
            if self._status is not None:
                self._status.update(Text(text))

    def say(self, text: str = "") -> None:
        """Print words for the user on stderr."""
        self._print(Text(text))

    def warn(self, text: str) -> None:
        """Print a warning on stderr."""
        self._print(Text.assemble(("warning: ", "bold yellow"), text))

    def error(self, message: str, hint: str = "") -> None:
        """Print what went wrong and what to do next on stderr."""
        self._print(Text.assemble(("error: ", "bold red"), message))
        if hint:
            self._print(Text.assemble(("hint: ", "bold cyan"), hint))

    def tail(self, path: Path, lines: int = 20) -> None:
        """Print the last `lines` lines of a log file on stderr, indented, under its name."""
        try:
            with path.open(errors="replace") as stream:
                last = deque(stream, maxlen=lines)
        except OSError:
            return
        self.say(f"last lines of {path}:")
        self.quote("".join(last))

    def quote(self, text: str) -> None:
        """Print foreign text, such as a program's output, on stderr, indented."""
        for line in text.splitlines():
            self._print(Text(f"    {line}", style="dim"))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table on stdout; None is shown as `-`."""
        if self.json_mode:
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, no_wrap=not self._data.is_terminal)
        for row in rows:
            table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
        self._data.print(table)

    def emit_json(self, value: object) -> None:
        """Print one JSON document on stdout."""
        self._data.file.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
        self._data.file.flush()

    def out(self, text: str) -> None:
        """Print one line of data on stdout, as it is."""
        self._data.file.write(text + "\n")
        self._data.file.flush()

    def clear(self) -> None:
        """Clear the terminal that stdout is; elsewhere print an empty line."""
        if self._data.is_terminal:
            self._data.clear()
        else:
            self.out("")

    def confirm(self, question: str, yes: bool) -> bool:
        """Ask and return the answer, which is no by default; `yes` answers in advance.

        Raises UsageError where nobody can answer: stdin is no terminal and `yes` is not set.
        """
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Nobody is here to answer.", "add --yes")
        with self._guard:
            # A spinner would write over the question.
            if self._status is not None:
                self._status.stop()
            elif self._open_line:
                self._words.print()
                self._open_line = False
            self._words.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
            answer = sys.stdin.readline().strip().lower()
            if self._status is not None:
                self._status.start()
        return answer in {"y", "yes"}

    def _print(self, text: Text) -> None:
        with self._guard:
            if self._open_line:
                self._words.print()
                self._open_line = False
            self._words.print(text, soft_wrap=True)

    def _begin(self, label: str) -> None:
        with self._guard:
            if self._live:
                self._status = self._words.status(Text(label))
                self._status.start()
            else:
                self._words.print(Text(label), end="", soft_wrap=True)
                self._words.file.flush()
                self._open_line = True

    def _end(self, label: str, word: str, style: str, seconds: float) -> None:
        with self._guard:
            if self._status is not None:
                self._status.stop()
                self._status = None
            outcome = Text.assemble((word, style), f" {seconds:.1f} s")
            line = Text(" ") + outcome if self._open_line else Text(f"{label} ") + outcome
            self._open_line = False
            self._words.print(line, soft_wrap=True)


def _rich(stream: TextIO) -> RichConsole:
    """Return a rich console that prints text as it is; rich itself honours NO_COLOR."""
    width = None if stream.isatty() else PLAIN_WIDTH
    return RichConsole(file=stream, width=width, markup=False, highlight=False, emoji=False)

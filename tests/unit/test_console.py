"""What a user sees without a terminal, and what stays off stdout."""

import io
import json
import re
import threading
from pathlib import Path

import pytest

from hubfleet.console import Console
from hubfleet.errors import UsageError


class Screen:
    """A console whose two streams can be read."""

    def __init__(self, json_mode: bool = False) -> None:
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.console = Console(json_mode, stdout=self.stdout, stderr=self.stderr)

    @property
    def words(self) -> str:
        return re.sub(r"\d+\.\d s", "N s", self.stderr.getvalue())


def test_a_stage_is_one_plain_line() -> None:
    screen = Screen()
    screen.console.plan(7)
    with screen.console.stage("chef server"):
        pass
    with screen.console.stage("hub"):
        pass
    assert screen.words == "[1/7] chef server ... ok N s\n[2/7] hub ... ok N s\n"


def test_words_inside_a_stage_do_not_hide_its_end() -> None:
    screen = Screen()
    screen.console.plan(1)
    with screen.console.stage("images"):
        screen.console.say("built [bold]x[/bold] :smile:")
    assert (
        screen.words == "[1/1] images ...\nbuilt [bold]x[/bold] :smile:\n[1/1] images ... ok N s\n"
    )


def test_a_failed_stage_says_so_and_passes_the_error_on() -> None:
    screen = Screen()
    with pytest.raises(KeyError), screen.console.stage("hub"):
        raise KeyError
    assert screen.words == "[1/1] hub ... failed N s\n"


def test_nothing_but_data_on_stdout() -> None:
    screen = Screen()
    screen.console.say("words")
    screen.console.warn("careful")
    screen.console.error("broken", "mend it")
    screen.console.table(("a", "b"), [(1, None)])
    assert [line.split() for line in screen.stdout.getvalue().splitlines()] == [
        ["a", "b"],
        ["1", "-"],
    ]
    assert screen.words == "words\nwarning: careful\nerror: broken\nhint: mend it\n"


def test_json_mode_leaves_stdout_to_one_document() -> None:
    screen = Screen(json_mode=True)
    screen.console.table(("a",), [(1,)])
    screen.console.emit_json({"name": "é", "path": Path("x")})
    assert json.loads(screen.stdout.getvalue()) == {"name": "é", "path": "x"}


def test_long_lines_are_not_broken() -> None:
    screen = Screen()
    screen.console.say("x" * 500)
    assert screen.words == "x" * 500 + "\n"


def test_a_log_s_last_lines_are_shown_under_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    screen = Screen()
    screen.console.tail(log, 2)
    assert screen.words == f"last lines of {log}:\n    line 98\n    line 99\n"


def test_a_question_needs_somebody_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    console = Screen().console
    assert console.confirm("Remove?", yes=True)
    with pytest.raises(UsageError) as error:
        console.confirm("Remove?", yes=False)
    assert "--yes" in error.value.hint


def test_threads_do_not_mix_lines() -> None:
    screen = Screen()

    def speak(letter: str) -> None:
        for _ in range(50):
            screen.console.say(letter * 20)

    threads = [threading.Thread(target=speak, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(set(line)) for line in screen.words.splitlines()} == {1}


def test_a_stage_that_goes_on_after_a_problem_says_failed() -> None:
    screen = Screen()
    with screen.console.stage("node") as stage:
        stage.ok = False
    assert screen.words == "[1/1] node ... failed N s\n"

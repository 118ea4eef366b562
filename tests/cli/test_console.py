"""Progress on a terminal and in a log; results as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.console import LineProgress, LiveProgress, format_number, format_value, print_to, tabulate


def test_a_log_has_one_line_for_each_stage_and_one_when_it_is_complete() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.stage("training", total=3)
    for done in (1, 2, 3):
        progress.advance(done, loss=1 / done)
    progress.note("Three rows were odd.")
    progress.close()
    lines = [line.split("] ", 1)[1] for line in stream.getvalue().splitlines()]
    assert lines == ["training", "  training: 3/3  loss 0.3333", "Three rows were odd."]


def test_a_stage_without_an_end_says_how_far_it_is_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("cli.console._QUIET_S", 0.0)
    progress = LineProgress(stream)
    progress.stage("reading")
    progress.advance(1_500, rows_per_second=2_000.0)
    assert stream.getvalue().splitlines()[-1].endswith("  reading: 1500  rows per second 2,000")


def test_a_terminal_keeps_every_stage_with_its_count_and_figures() -> None:
    stream = io.StringIO()
    progress = LiveProgress(Console(file=stream, force_terminal=True, width=120, color_system=None))
    progress.stage("preparing")
    progress.stage("training", total=2)
    progress.advance(2, loss=0.5)
    progress.note("[not markup] a note")
    progress.close()
    shown = stream.getvalue()
    for text in ("preparing", "training", "2/2", "loss 0.5", "[not markup] a note"):
        assert text in shown, text


def test_a_terminal_can_be_let_go_twice_and_without_any_stage() -> None:
    progress = LiveProgress(Console(file=io.StringIO(), force_terminal=True))
    progress.advance(1)
    progress.close()
    progress.close()


def test_a_pipe_gets_lines_without_trailing_blanks() -> None:
    stream = io.StringIO()
    print_to(stream, tabulate({"version": "0001-abc", "num_items": 1_200, "metrics": {"recall": 0.95, "loss": 2.0}}))
    assert stream.getvalue() == ("version    0001-abc\nnum_items  1,200\nmetrics\n  recall   0.95\n  loss     2\n")


def test_values_that_look_like_markup_are_shown_as_they_are() -> None:
    stream = io.StringIO()
    print_to(stream, tabulate({"name": "[red]x[/]"}))
    assert stream.getvalue() == "name  [red]x[/]\n"


def test_a_command_is_never_broken_into_lines() -> None:
    stream = io.StringIO()
    command = f"Next: tandem train --workspace /{'long/' * 40}workspace"
    print_to(stream, command)
    assert stream.getvalue() == f"{command}\n"


@pytest.mark.parametrize(
    ("number", "text"), [(0.123456, "0.1235"), (2.0, "2"), (12_345.6, "12,346"), (1e-7, "1e-07"), (-0.5, "-0.5")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert format_number(number) == text


def test_nothing_is_a_dash() -> None:
    assert format_value(None) == "–"

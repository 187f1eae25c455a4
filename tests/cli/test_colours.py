"""Colours are for a terminal, and for nobody who asks for none."""

import io

import pytest

from hybridnet.cli.console import coloured, has_colours


class Terminal(io.StringIO):
    """What is there on a terminal."""

    def isatty(self) -> bool:
        return True


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_colours(Terminal())
    assert not has_colours(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(Terminal())


def test_bars_and_rules_are_coloured_and_words_are_not() -> None:
    assert coloured("a ██ 2\n──\n") == "a \x1b[36m██\x1b[0m 2\n\x1b[2m──\x1b[0m\n"

"""Reads a command line that is plain and right, from the same description as argparse, which takes as long as the rest of a start.

Whatever is unusual or wrong is left to argparse: it knows all ways to write an option, and has the words for what is wrong.
"""

from __future__ import annotations

from types import SimpleNamespace

_REMAINDER = "..."
"""``argparse.REMAINDER``"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any


def read(configure: Callable[[argparse.ArgumentParser], None], argv: Sequence[str]) -> SimpleNamespace | None:
    """The options of a sub-command that has one argument, and behind it whatever follows.

    Args:
        configure: Describes them, to an ``argparse.ArgumentParser`` or to what has the same methods.
        argv: The arguments after the sub-command's name.

    Returns:
        What argparse would give; None where it has to be asked.
    """
    description: Any = _Description()
    configure(description)
    try:
        found: SimpleNamespace = description.read(list(argv))
    except Exception:  # noqa: BLE001  of a value that isn't one argparse tells
        return None
    return found


class _Unusual(Exception):
    """Not to be read here."""


class _Option:
    """An option or argument as it is described."""

    required = True

    def __init__(self, names: tuple[str, ...], about: dict[str, Any]) -> None:
        long = next((name for name in names if name.startswith("--")), names[0])
        self.name = long.lstrip("-").replace("-", "_")
        self.action, self.nargs = about.get("action", "store"), about.get("nargs")
        self.default = about.get("default", False if self.action == "store_true" else None)
        self.type: Callable[[str], Any] = about.get("type", str)
        self.choices = about.get("choices")

    def value(self, text: str) -> Any:
        value = self.type(text)
        if self.choices is not None and value not in self.choices:
            raise _Unusual
        return value


class _Description:
    """Takes the description, as an ``argparse.ArgumentParser`` does."""

    def __init__(self) -> None:
        self._options: dict[str, _Option] = {}
        self._arguments: list[_Option] = []

    def add_argument(self, *names: str, **about: Any) -> _Option:
        option = _Option(names, about)
        if names[0].startswith("-"):
            self._options.update(dict.fromkeys(names, option))
        else:
            self._arguments.append(option)
        return option

    def add_argument_group(self, _title: str) -> _Description:
        return self

    def read(self, argv: list[str]) -> SimpleNamespace:
        """Read the options, the argument and the rest.

        Raises:
            Exception: They are not as they are written most of the time.
        """
        argument, rest = self._arguments
        if rest.nargs != _REMAINDER or "--" in argv:  # which has several meanings
            raise _Unusual
        found: dict[str, Any] = {option.name: option.default for option in self._options.values()}
        words = iter(argv)
        for word in words:
            if not word.startswith("-"):
                found[argument.name] = argument.value(word)
                found[rest.name] = [rest.value(other) for other in words]
                return SimpleNamespace(**found)
            name, mark, text = word.partition("=")
            option = self._options[name]
            if option.action == "store_true":
                if mark:
                    raise _Unusual
                found[option.name] = True
                continue
            if not mark:
                text = next(words)
            if not text or (text.startswith("-") and not mark) or (mark and not name.startswith("--")):
                raise _Unusual
            value = option.value(text)
            if option.action == "append":
                found[option.name] = [*(found[option.name] or ()), value]
            elif option.action == "store":
                found[option.name] = value
            else:
                raise _Unusual
        raise _Unusual  # there is nothing to run

"""Everything that a user can meet stands in the reference."""

from __future__ import annotations

import argparse
import configparser
import re
import sys
from pathlib import Path

import pytest

import wasmoci
from wasmoci import errors, pytest_plugin, result
from wasmoci.cli import COMMANDS, DEBUG_VARIABLE
from wasmoci.cli.parsing import parser
from wasmoci.compiled import directories
from wasmoci.dispatch import settings, settings_file
from wasmoci.oci.annotations import HANDLER, NAME_KEYS, SANDBOX_KEYS, VARIANT
from wasmoci.oci.classification import RULES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
WASMER = "wasmer-sdk" if sys.version_info >= (3, 11) else "wasmer 1.1"


def page(name: str) -> str:
    """A page of the reference."""
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each sub-command."""
    (action,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str) -> None:
    """Each command has a section, which names each of its options."""
    sections = re.split(
        r"^## ", "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md")), flags=re.MULTILINE
    )
    section = next((text for text in sections if text.startswith(f"wasmoci {command}\n")), "")
    assert section, f"no section 'wasmoci {command}' in docs/reference"
    options = {option for action in subparsers()[command]._actions for option in action.option_strings}
    missing = [
        option for option in options - {"-h", "--help"} if not re.search(rf"(?<![\w-]){option}(?![\w-])", section)
    ]
    assert missing == []


def test_errors() -> None:
    """Each error class has a row with its status."""
    kinds = [
        kind
        for module in (errors, result)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, wasmoci.WasmociError)
    ]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page("errors"), re.MULTILINE))
    assert rows == {kind.__name__: str(kind.exit_status) for kind in kinds}


def test_annotations() -> None:
    """Each annotation stands in the table."""
    keys = (HANDLER, VARIANT, *SANDBOX_KEYS, *NAME_KEYS)
    assert [key for key in keys if f"`{key}`" not in page("annotations")] == []


def test_rules() -> None:
    """Each rule of the classification has a row."""
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", page("annotations"), re.MULTILINE)]
    assert rows == sorted(rule.row for rule in RULES if rule.row)


def test_settings() -> None:
    """Each environment variable and each key of the configuration file stands in the page."""
    variables = (
        settings.ENGINE_VARIABLE,
        settings.NATIVE_RUNTIME_VARIABLE,
        settings.FILE_VARIABLE,
        DEBUG_VARIABLE,
        directories.VARIABLE,
        directories.SIZE_VARIABLE,
    )
    assert [name for name in variables if f"`{name}`" not in page("settings")] == []
    assert [key for key in settings_file.KEYS if not re.search(rf"^{key} = ", page("settings"), re.MULTILINE)] == []


def test_names() -> None:
    """Each public name stands in the reference of the API; the errors have their own."""
    text = page("api") + page("errors")
    assert [name for name in wasmoci.__all__ if not re.search(rf"`{name}\b", text)] == []


def test_pytest_plugin() -> None:
    """Each fixture, option, key and marker of the pytest plug-in has a row."""
    rows = set(re.findall(r"^\| `([\w-]+)", page("pytest"), re.MULTILINE))
    fixtures = {name for name in vars(pytest_plugin) if name.startswith("wasm_")}
    options = {pytest_plugin.ENGINE_OPTION, pytest_plugin.STRICT_OPTION}
    keys = {value for name, value in vars(pytest_plugin).items() if name.endswith(("_INI", "_MARKER"))}
    assert (fixtures | options | keys) - rows == set()


def test_ends() -> None:
    """Each reason for an end stands in the page about the guest."""
    assert [reason.name for reason in wasmoci.ExitReason if f"`{reason.name}`" not in page("guest")] == []


def test_capabilities() -> None:
    """The table of engines has a row for each capability, with what each of ours has here."""
    rows = {
        cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
        for cells in (line.strip("|").split("|") for line in page("engines").splitlines() if line.startswith("| `"))
    }
    assert set(rows) == {capability.value for capability in wasmoci.Capability}
    columns = {"wasmtime": 0, "wasmer 1.1": 1, "wasmer-sdk": 2, "wasm3": 3}
    for status in wasmoci.engines():
        if status.available and status.distribution.startswith("wasmoci "):
            column = columns[status.name if status.name != "wasmer" else WASMER]
            documented = {name for name, cells in rows.items() if cells[column] == "yes"}
            assert documented == {capability.value for capability in status.capabilities}, status.name


@pytest.mark.parametrize("source", ["README.md", "CHANGELOG.md"])
def test_links_of_the_repository(source: str) -> None:
    """Links from the pages outside of the site lead somewhere."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / source).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_picture_of_the_rooms(page: str) -> None:
    """The picture shows the layers that the import contract checks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    picture = re.search(r"```text\n(cli ·.*?)```", text, re.DOTALL)
    assert picture is not None
    left = re.sub(r" ·\s*\n", " · ", re.sub(r"  +.*", "", picture[1]))
    shown = [set(line.split(" · ")) for line in left.splitlines()]
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter", encoding="utf-8")
    layers = contract["importlinter:contract:layers"]["layers"].split("\n")
    assert shown == [set(layer.split(" : ")) - {"__main__"} for layer in layers if layer]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_of_the_package(page: str) -> None:
    """Files that a page for contributors names are there."""
    named = re.findall(r"`((?:wasmoci/|tests/|[a-z_]+/)[\w/]+?(?:\.py|/)?)`", (ROOT / page).read_text(encoding="utf-8"))
    assert named
    missing = [
        name
        for name in named
        if "NAME" not in name
        and not any((base / name).exists() or (base / f"{name}.py").exists() for base in (ROOT, ROOT / "wasmoci"))
    ]
    assert missing == []

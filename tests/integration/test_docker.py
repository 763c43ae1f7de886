"""``wasmoci config docker``: entries merged into ``daemon.json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.support import RUNTIME, apply, file
from wasmoci.errors import IntegrationError
from wasmoci.integration import Outcome, Request, plan

if TYPE_CHECKING:
    from pathlib import Path

OURS = {"wasmoci": {"path": str(RUNTIME)}, "wasmoci-wasm": {"path": "/opt/wasmoci/bin/wasmoci-wasm"}}


@pytest.mark.parametrize("content", [None, "", " \n", "{}"])
def test_new(tmp_path: Path, content: str | None) -> None:
    """Without a file, or with an empty one, ours is all there is."""
    path = file(tmp_path, "docker", content)
    apply("docker", tmp_path)
    assert json.loads(path.read_text()) == {"runtimes": OURS}


MERGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"log-driver": "journald"}, {}, {"log-driver": "journald", "runtimes": OURS}),
    ({"runtimes": {"kata": {"path": "/k"}}}, {}, {"runtimes": {"kata": {"path": "/k"}, **OURS}}),
    ({"default-runtime": "runc"}, {}, {"default-runtime": "runc", "runtimes": OURS}),
    ({"default-runtime": "runc"}, {"default": True}, {"default-runtime": "wasmoci", "runtimes": OURS}),
    (
        {"runtimes": {"wasmoci": {"path": "/old", "runtimeArgs": ["--debug"]}}},
        {},
        {"runtimes": {**OURS, "wasmoci": {"path": str(RUNTIME), "runtimeArgs": ["--debug"]}}},
    ),
]


@pytest.mark.parametrize(("before", "options", "after"), MERGES)
def test_merge(tmp_path: Path, before: dict[str, Any], options: dict[str, Any], after: dict[str, Any]) -> None:
    """What is there stays, in its order, and the second time nothing is to do."""
    path = file(tmp_path, "docker", json.dumps(before))
    assert apply("docker", tmp_path, **options).outcome is Outcome.CHANGED
    merged = json.loads(path.read_text())
    assert merged == after
    assert list(merged)[: len(before)] == list(before)
    assert apply("docker", tmp_path, **options).outcome is Outcome.UNCHANGED


def test_indentation_and_letters_stay(tmp_path: Path) -> None:
    """The file is indented as it was, and its letters are not escaped."""
    path = file(tmp_path, "docker", '{\n\t"labels": ["größe=1"]\n}\n')
    apply("docker", tmp_path)
    assert '\n\t"labels": [\n\t\t"größe=1"\n\t],\n\t"runtimes": {\n' in path.read_text()


def test_same_content_is_left_as_it_is_written(tmp_path: Path) -> None:
    """Another way of writing the same is no change."""
    content = json.dumps({"runtimes": OURS}, indent=None, separators=(",", ":"))
    path = file(tmp_path, "docker", content)
    assert apply("docker", tmp_path).outcome is Outcome.UNCHANGED
    assert path.read_text() == content


REFUSALS = [
    ('{\n  "a": 1\n  "b": 2\n}', 3, "not JSON: "),
    ("[]", 1, "found no object"),
    ('{\n "a": 1,\n "a": 2\n}', 3, "the key 'a' appears twice"),
    ('{\n "runtimes": []\n}', 2, "found no object as 'runtimes'"),
    ('{"runtimes": {\n "wasmoci": {"runtimeType": "x"}}}', 2, "the runtime 'wasmoci' exists already"),
    ('{"runtimes": {\n\n "wasmoci-wasm": "x"}}', 3, "the runtime 'wasmoci-wasm' exists already"),
    (b'{"a":\n"\xff"}', 2, "not UTF-8"),
]


@pytest.mark.parametrize(("content", "line", "message"), REFUSALS)
def test_refused(tmp_path: Path, content: str | bytes, line: int, message: str) -> None:
    """A file that isn't what it has to be is named with the line, and stays."""
    path = file(tmp_path, "docker", content)
    before = path.read_bytes()
    with pytest.raises(IntegrationError) as caught:
        apply("docker", tmp_path)
    assert str(caught.value).startswith(f"{path}: line {line}: {message}")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_for_a_user(tmp_path: Path) -> None:
    """Rootless Docker has its configuration in the home directory."""
    assert plan("docker", Request(runtime=RUNTIME, home=tmp_path)).path == tmp_path / ".config/docker/daemon.json"

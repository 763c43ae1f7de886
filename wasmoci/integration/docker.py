"""Configures Docker: entries merged into ``daemon.json``."""

from __future__ import annotations

import json
import re
from typing import Any

from wasmoci.errors import IntegrationError
from wasmoci.integration.configuration_plan import Plan, Request
from wasmoci.integration.files import read

_SYSTEM = "/etc/docker/daemon.json"
_USER = ".config/docker/daemon.json"
_COMPAT = "module.wasm.image/variant=compat"


def plan(request: Request) -> Plan:
    """Return the existing file with two more runtimes.

    Raises:
        IntegrationError: The file isn't a JSON object, or one of the names belongs to another kind of runtime.
    """
    path = request.place(_SYSTEM, _USER)
    before = read(path, request.root)
    wanted: dict[str, Any] = {
        "runtimes": {
            request.name: {"path": str(request.runtime)},
            request.forced_name: {"path": str(request.forced_runtime)},
        }
    }
    if request.default:
        wanted["default-runtime"] = request.name
    document = _load(before, str(path)) if before is not None and before.strip() else {}
    merged = _merge(document, wanted, before or "", str(path))
    # Without a change of content, the file keeps its formatting.
    after = before if before is not None and merged == document else _dump(merged, before or "")
    return Plan(
        fragment=_dump(wanted, ""),
        path=path,
        root=request.root,
        before=before,
        after=after,
        notes=(
            "make Docker read it: systemctl reload docker"
            if request.home is None
            else "make Docker read it: systemctl --user reload docker",
            f"with Docker 24 and later: docker run --rm --runtime {request.name} --annotation {_COMPAT} IMAGE",
            f"with any: docker run --rm --runtime {request.forced_name} IMAGE",
        ),
    )


def _load(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise IntegrationError(
            f"not JSON: {error.msg}", source=source, line=error.lineno, hint="mend the file first"
        ) from None
    except _RepeatedKeyError as error:
        raise IntegrationError(
            f"the key {error.key!r} appears twice in an object",
            source=source,
            line=_line(text, error.key, last=True),
            hint="mend the file first",
        ) from None
    if not isinstance(document, dict):
        raise IntegrationError("found no object; an object was expected", source=source, line=1)
    return document


def _merge(document: dict[str, Any], wanted: dict[str, Any], text: str, source: str) -> dict[str, Any]:
    runtimes = document.get("runtimes", {})
    if not isinstance(runtimes, dict):
        raise IntegrationError(
            "found no object as 'runtimes'; an object was expected", source=source, line=_line(text, "runtimes")
        )
    added = {}
    for name, entry in wanted["runtimes"].items():
        there = runtimes.get(name, {})
        if not isinstance(there, dict) or "runtimeType" in there:
            raise IntegrationError(
                f"the runtime {name!r} exists already; an OCI runtime with a path was expected",
                source=source,
                line=_line(text, name),
                hint="choose another name with --name",
            )
        added[name] = {**there, **entry}
    return {**document, **wanted, "runtimes": {**runtimes, **added}}


def _dump(document: dict[str, Any], like: str) -> str:
    """Serialise the document with the indentation of the previous text."""
    indent = re.search(r"^\s*\{\s*\n([ \t]+)\"", like)
    return json.dumps(document, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


class _RepeatedKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in pairs:
        if key in found:
            raise _RepeatedKeyError(key)
        found[key] = item
    return found


def _line(text: str, key: str, *, last: bool = False) -> int | None:
    """Return the line, counted from 1, of a key."""
    places = [match.start() for match in re.finditer(rf"{re.escape(json.dumps(key))}\s*:", text)]
    return text.count("\n", 0, places[-1 if last else 0]) + 1 if places else None

"""Whatever stands in a text of a spec: it runs, or the error is typed and can be written."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import wasmoci
from tests.support.guests import build
from tests.support.texts import documents
from wasmoci.errors import WasmociError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MORE = {
    "hostname": "host",
    "domainname": "domain",
    "annotations": {
        "run.oci.handler": "wasm",
        "module.wasm.image/variant": "compat",
        "module.wasm.image/variant.name": "compat",
        "io.kubernetes.cri.container-name": "name",
    },
    "hooks": {"prestart": [{"path": "/bin/true", "args": ["true"], "env": ["A=b"]}]},
    "mounts": [
        {"destination": "/data", "type": "bind", "source": "/tmp", "options": ["bind", "ro"]},
        {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["rw"]},
        {"destination": "/proc", "type": "proc", "source": "proc"},
    ],
    "linux": {
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/sys"],
        "namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}],
        "cgroupsPath": "/x",
        "rootfsPropagation": "private",
        "sysctl": {"net.a": "1"},
        "devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3}],
    },
}


def test_every_text_of_a_spec(make_bundle: Callable[..., Path]) -> None:
    """Read, explained and run."""
    bundle = make_bundle(build("minimal"), args=("x",), env=("A=b",), cwd="/work", directories=["/work"])
    config = bundle / "config.json"
    document = {**json.loads(config.read_text()), **MORE}
    document["process"]["user"] = {"uid": 0, "gid": 0, "username": "user"}
    tried = 0
    for what, changed in documents(document):
        config.write_text(json.dumps(changed))
        for action in (
            lambda: wasmoci.run(bundle, engine="wasmtime", isolation="inline"),
            lambda: str(wasmoci.explain(bundle)).encode(),
        ):
            try:
                with contextlib.suppress(WasmociError):
                    action()
            except Exception as error:
                raise AssertionError(f"{what}: {error!r}") from error
            tried += 1
    assert tried > 600

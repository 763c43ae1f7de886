"""CRI-O: a drop-in for ``crio.conf``, which crio.conf(5) describes."""

from __future__ import annotations

from wasmoci.integration.files import read
from wasmoci.integration.model import HEADER, Plan, Request
from wasmoci.integration.toml import header, value

_SYSTEM = "/etc/crio/crio.conf.d/50-wasmoci.conf"

ALLOWED = ("module.wasm.image/variant", "run.oci.")
"""The annotations to let through. CRI-O takes them for prefixes, and no others than those of a list of its own."""

_PLATFORMS = ("wasi/wasm", "wasi/wasm32")


def plan(request: Request) -> Plan:
    """The drop-in: our file alone, which is written as a whole."""
    path = request.place(_SYSTEM, None)
    forced = ", ".join(f"{value(platform)} = {value(str(request.forced_runtime))}" for platform in _PLATFORMS)
    lines = [HEADER.format(target="cri-o")]
    if request.default:
        lines += [header(("crio", "runtime")), f"default_runtime = {value(request.name)}", ""]
    lines += [
        header(("crio", "runtime", "runtimes", request.name)),
        f"runtime_path = {value(str(request.runtime))}",
        'runtime_type = "oci"',
        f"runtime_root = {value(f'/run/{request.name}')}",
        "# CRI-O from 1.27.6, 1.28.6 and 1.29.4 on; an older one passes them on by itself, and refuses to start with this line.",
        f"allowed_annotations = {value(ALLOWED)}",
        "# Images of these platforms need no annotation.",
        f"platform_runtime_paths = {{ {forced} }}",
    ]
    text = "\n".join(lines) + "\n"
    return Plan(
        fragment=text,
        path=path,
        root=request.root,
        before=read(path, request.root),
        after=text,
        notes=(
            "restart CRI-O, whose containers go on running: systemctl restart crio",
            "let pods choose it: wasmoci config kubernetes",
        ),
    )

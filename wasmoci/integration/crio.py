"""Configures CRI-O: a drop-in for ``crio.conf``; see crio.conf(5)."""

from __future__ import annotations

from pathlib import Path

from wasmoci.errors import IntegrationError
from wasmoci.integration.annotation_patterns import Opening, of_crio
from wasmoci.integration.configuration_plan import HEADER, Plan, Request
from wasmoci.integration.files import read
from wasmoci.integration.toml_edit import header, load, value

_MENDED = "; --write mends it"
_SYSTEM = "/etc/crio/crio.conf.d/50-wasmoci.conf"

ALLOWED = ("module.wasm.image/variant",)
"""The annotations that pods may set, including those for single containers. CRI-O takes them as prefixes, and only from
a list of its own. That list has ``run.oci.`` as a whole, by which a pod could have crun load anything, and not
``run.oci.handler``."""

_MAIN = "/etc/crio/crio.conf"

_PLATFORMS = ("wasi/wasm", "wasi/wasm32")


def plan(request: Request) -> Plan:
    """Return the drop-in, which is overwritten as a whole."""
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
            "restart CRI-O, which leaves containers running: systemctl restart crio",
            "let pods choose it: wasmoci config kubernetes",
        ),
        warnings=_warnings(request.root, path),
    )


def _warnings(root: Path | None, written: Path) -> tuple[str, ...]:
    try:
        found = openings(root)
    except IntegrationError as error:  # in a file of another program, or one that is overwritten
        return (error.message,)
    return tuple(f"{opening}{_MENDED if opening.source == written else ''}" for opening in found)


def openings(root: Path | None = None) -> tuple[Opening, ...]:
    """Return the openings in the existing files: the main one and all drop-ins.

    Args:
        root: The machine's root directory; None for this machine.

    Raises:
        IntegrationError: One of them can't be read, or isn't TOML.
    """
    base = root or Path("/")
    main = base / _MAIN.lstrip("/")
    found: list[Opening] = []
    for path in (main, *sorted((base / _SYSTEM.lstrip("/")).parent.glob("*"))):
        text = read(path, root) if path.is_file() else None
        if text is not None:
            found += of_crio(load(text, str(path)), text, path)
    return tuple(found)

"""Configures Podman, Buildah and Skopeo: a drop-in for ``containers.conf``; see containers.conf(5)."""

from __future__ import annotations

from wasmoci.integration.configuration_plan import FORCED_PROGRAM, HEADER, PROGRAM, Plan, Request
from wasmoci.integration.files import read
from wasmoci.integration.toml_edit import header, value

_SYSTEM = "/etc/containers/containers.conf.d/50-wasmoci.conf"
_USER = ".config/containers/containers.conf.d/50-wasmoci.conf"

_SUPPORT_JSON = ("crun", "runc", "kata", "runsc", "youki", "krun", "ocijail")
"""The runtimes that any version of Podman considers able to log as JSON: a list in a drop-in replaces Podman's own."""

_NO_CGROUPS = ("crun", "krun")
"""Those that Podman calls with ``--cgroups=disabled``; crun does it, which our runtime hands the option to."""

_PLATFORMS = ("wasi/wasm", "wasi/wasm32", "wasi/wasm64")
"""The platforms of Wasm images for which Podman's built-in table has another runtime, crun-wasm."""


def plan(request: Request) -> Plan:
    """Return the drop-in, which is overwritten as a whole."""
    path = request.place(_SYSTEM, _USER)
    # Podman names a runtime that is given as a path by its file name.
    own = list(dict.fromkeys((request.name, request.forced_name, PROGRAM, FORCED_PROGRAM)))
    names = [*_SUPPORT_JSON, *own]
    lines = [HEADER.format(target="podman"), header(("engine",))]
    if request.default:
        lines.append(f"runtime = {value(request.name)}")
    lines += [
        f"runtime_supports_json = {value(names)}",
        f"runtime_supports_nocgroup = {value([*_NO_CGROUPS, *own])}",
        "",
        header(("engine", "runtimes")),
        f"{request.name} = {value([str(request.runtime)])}",
        f"{request.forced_name} = {value([str(request.forced_runtime)])}",
        "",
        "# For images of these platforms, with Podman 4.4 and later; older versions ignore it.",
        header(("engine", "platform_to_oci_runtime")),
        *(f"{value(platform)} = {value(request.forced_name)}" for platform in _PLATFORMS),
    ]
    text = "\n".join(lines) + "\n"
    return Plan(
        fragment=text,
        path=path,
        root=request.root,
        before=read(path, request.root),
        after=text,
        notes=(
            "Podman and Buildah read it at their next call; for its service: systemctl restart podman",
            f"try it: podman --runtime {request.name} run --rm --annotation module.wasm.image/variant=compat IMAGE",
        ),
    )

"""Names the annotations that decide whether a workload is Wasm; :mod:`wasmoci.oci.classification` interprets them.

This module imports nothing, so that a runtime that only passes on a native container can call :func:`mentioned`.
"""

HANDLER = "run.oci.handler"
VARIANT = "module.wasm.image/variant"
SANDBOX_KEYS = ("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType")
NAME_KEYS = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name")

OPENING = frozenset(
    {"run.oci.seccomp.plugins", "run.oci.seccomp_bpf_data", "run.oci.hooks.stdout", "run.oci.hooks.stderr"}
)
"""The prefixes of annotations by which crun loads a library on the host, changes the seccomp filter, or writes to a
file of the host. Podman before 4.5.1 passes those of an image to its containers."""

_NAMES = (HANDLER.encode(), VARIANT.partition("/")[0].encode())
_ESCAPES = (b"\\u006", b"\\u007", b"\\u002e", b"\\u002E")  # of lower-case letters and the dot


def decides(key: str) -> bool:
    """Return whether an annotation can make a container Wasm, by our rules or by crun's."""
    return key in (HANDLER, VARIANT) or key.startswith(f"{VARIANT}.")


def mentioned(document: bytes) -> bool:
    """Return whether a ``config.json`` may have a relevant annotation; False is certain, and needs no parsing.

    Args:
        document: The file's content.
    """
    # JSON may write a slash as "\/", so the names here have none, and a letter as an escape.
    return any(name in document for name in (*_NAMES, *_ESCAPES))

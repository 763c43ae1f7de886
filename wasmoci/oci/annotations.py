"""The names of the annotations that decide whether a workload is Wasm; :mod:`wasmoci.oci.classification` alone gives them a meaning.

This module imports nothing, so that a runtime which only hands a native container on can ask :func:`mentioned`.
"""

HANDLER = "run.oci.handler"
VARIANT = "module.wasm.image/variant"
SANDBOX_KEYS = ("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType")
NAME_KEYS = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name")

OPENING = frozenset(
    {"run.oci.seccomp.plugins", "run.oci.seccomp_bpf_data", "run.oci.hooks.stdout", "run.oci.hooks.stderr"}
)
"""Those by which crun loads a library on the host, takes another seccomp filter, or writes to a file of the host. Podman before 4.5.1
gives a container those of its image."""

_NAMES = (HANDLER.encode(), VARIANT.partition("/")[0].encode())
_ESCAPES = (b"\\u006", b"\\u007", b"\\u002e", b"\\u002E")  # of lower-case letters and the dot


def decides(key: str) -> bool:
    """Whether an annotation is one that makes a container Wasm, by our rules or by crun's."""
    return key in (HANDLER, VARIANT) or key.startswith(f"{VARIANT}.")


def mentioned(document: bytes) -> bool:
    """Whether a ``config.json`` may have an annotation that matters; False is certain, and costs no parsing.

    Args:
        document: The file's content.
    """
    # JSON may write a slash as "\/", which the names here leave out, and a letter as an escape.
    return any(name in document for name in (*_NAMES, *_ESCAPES))

"""Detects misspelt or missing annotations, and finds the line of configuration that would pass them on."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import attrs

from wasmoci.integration.configuration_plan import ANNOTATIONS
from wasmoci.integration.crio import ALLOWED
from wasmoci.integration.toml_edit import header, value
from wasmoci.oci.annotations import HANDLER, NAME_KEYS, VARIANT, decides
from wasmoci.oci.classification import Kind, classify

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.classification import Classification
    from wasmoci.oci.spec import Spec

_OTHERWISE = 12
"""The number of the rule that makes a container native because no annotation decides."""

_ALIKE = 0.85
"""The similarity from which on a name counts as misspelt."""

_COMPAT = f"{VARIANT}=compat"
_TASK = re.compile(r"/io\.containerd\.runtime\.v2\.task/([^/]+)/")
_DOCKER = re.compile(r"/docker/containers/[0-9a-f]{64}/")
_CRIO_HANDLER = "io.kubernetes.cri-o.RuntimeHandler"


@attrs.frozen
class Fix:
    """A change that makes an annotation reach the runtime.

    Args:
        what: It, in words.
        line: The line that is missing from a configuration, a pod or a command.
        command: The command that writes it, if one does.
    """

    what: str
    line: str
    command: str = ""


@attrs.frozen(kw_only=True)
class Missing:
    """An annotation that a container seems to lack.

    Args:
        reason: Why it seems so, a sentence.
        origin: Who made the spec: ``podman``, ``cri-o``, ``containerd``, ``docker``, ``ctr``,
            ``wasmoci`` for an image's, or empty where nothing tells.
        fixes: What to do.
    """

    reason: str
    origin: str
    fixes: tuple[Fix, ...]


def missing(bundle: Bundle, classification: Classification) -> Missing | None:
    """Return the annotation that a native container with a WebAssembly program lacks.

    Args:
        bundle: The bundle.
        classification: What was decided about it.

    Returns:
        None where an annotation or a rule decided, or the program doesn't look like WebAssembly.
    """
    if classification.rule != _OTHERWISE:
        return None
    smart = classify(attrs.evolve(bundle.spec, annotations={HANDLER: "wasm-smart"}), bundle.rootfs)
    if smart.kind is not Kind.WASM:
        return None
    looks = smart.reason.partition(": ")[2]
    annotations = bundle.spec.annotations
    origin = next((name for name, made in _ORIGINS.items() if made(bundle)), "")
    others = sorted(key for key in annotations if key.startswith(f"{VARIANT}."))
    if others:
        name = next((annotations[key] for key in NAME_KEYS if annotations.get(key)), None)
        who = "this one has no name" if name is None else f"this one is called {name!r}"
        return Missing(
            reason=f"{looks}, and the annotations that arrived are for other containers: {', '.join(others)}; {who}",
            origin=origin,
            fixes=(
                Fix("annotate the pod for this container, too", f"{VARIANT}.{name or 'NAME'}: compat"),
                Fix("or for all of its containers, each by its own program", f"{VARIANT}: compat-smart"),
            ),
        )
    return Missing(reason=f"{looks}, and no annotation about it arrived", origin=origin, fixes=_fixes(origin, bundle))


def misspelt(spec: Spec) -> tuple[tuple[str, str], ...]:
    """Return the annotations of a spec that look like misspellings, each with the likely name."""
    return tuple((key, meant) for key in sorted(spec.annotations) if (meant := _meant(key)) is not None)


def _meant(key: str) -> str | None:
    if decides(key):
        return None
    name = key.strip()
    # A variant of one container comes first: that container's own name is of any length.
    stem, _, container = name.rpartition(".")
    if container and _is_like(stem, VARIANT):
        return f"{VARIANT}.{container}"
    return next((meant for meant in (HANDLER, VARIANT) if _is_like(name, meant)), None)


def _is_like(name: str, meant: str) -> bool:
    matcher = difflib.SequenceMatcher(None, name.lower(), meant, autojunk=False)
    # An image may have a hundred thousand names, or one of megabytes: most are told apart by their length.
    return matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def _has(bundle: Bundle, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in bundle.spec.annotations)


def _namespace(bundle: Bundle) -> str | None:
    """Return containerd's namespace, from the path of the bundle."""
    match = _TASK.search(f"{bundle.path.absolute()}/")
    return match[1] if match else None


def _by_docker(bundle: Bundle) -> bool:
    # Docker annotates nothing, and mounts files of its own.
    return _namespace(bundle) == "moby" or any(_DOCKER.search(mount.source or "") for mount in bundle.spec.mounts)


_ORIGINS: dict[str, Callable[[Bundle], bool]] = {
    "wasmoci": lambda bundle: bundle.image is not None,
    # Podman comes first: it uses two of CRI-O's keys.
    "podman": lambda bundle: _has(bundle, "io.podman.") or _has(bundle, "io.container.manager"),
    "cri-o": lambda bundle: _has(bundle, "io.kubernetes.cri-o."),
    "containerd": lambda bundle: _has(bundle, "io.kubernetes.cri."),
    "docker": _by_docker,
    "ctr": lambda bundle: _namespace(bundle) is not None,
}
"""The programs that make specs, and how to recognise them; the first match counts."""


def _fixes(origin: str, bundle: Bundle) -> tuple[Fix, ...]:
    fixes = _FIXES[origin]
    handler = bundle.spec.annotations.get(_CRIO_HANDLER)
    if origin == "cri-o" and handler:
        return (attrs.evolve(fixes[0], line=_crio(handler)), *fixes[1:])
    return fixes


def _crio(handler: str) -> str:
    return f"{header(('crio', 'runtime', 'runtimes', handler))} allowed_annotations = {value(ALLOWED)}"


_POD = Fix("and annotate the pod itself, as the image's own don't count", f"{VARIANT}: compat-smart")

_FIXES = {
    "wasmoci": (
        Fix("name an engine, which means Wasm", "wasmoci run --engine wasmtime IMAGE"),
        Fix("or build the image with the annotation", "wasmoci build --variant compat FILE.wasm"),
    ),
    "podman": (
        Fix("say it to Podman, which since 4.5.1 ignores those of images", f"podman run --annotation {_COMPAT}"),
        Fix(
            "or let images for wasi/wasm run as Wasm, from Podman 4.4 on, in containers.conf",
            f'{header(("engine", "platform_to_oci_runtime"))} "wasi/wasm" = "wasmoci-wasm"',
            "wasmoci config podman --write",
        ),
    ),
    "cri-o": (Fix("let CRI-O pass it on", _crio("wasmoci"), "wasmoci config cri-o --write"), _POD),
    "containerd": (
        Fix(
            "let containerd pass it on, in the table of the runtime",
            f"pod_annotations = {value(ANNOTATIONS)}",
            "wasmoci config containerd --write",
        ),
        _POD,
    ),
    "docker": (
        Fix("say it to Docker, from version 24 on", f"docker run --runtime wasmoci --annotation {_COMPAT}"),
        Fix(
            "or take the runtime that needs none",
            "docker run --runtime wasmoci-wasm",
            "wasmoci config docker --write",
        ),
    ),
    "ctr": (Fix("say it to containerd's client", f"ctr run --annotation {_COMPAT}"),),
    "": (
        Fix("add it to config.json", f'"annotations": {{"{VARIANT}": "compat"}}'),
        Fix("or classify by the program's content, in the settings", 'detection = "content"'),
    ),
}

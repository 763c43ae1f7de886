"""The OCI runtime ``wasmoci-runtime``: a replacement for runc and crun in Podman, Buildah, containerd, CRI-O and Kubernetes.

A native container is handed on to the native runtime by ``exec``, arguments unchanged. A Wasm container is created by the same
native runtime, from a spec in which the process is the engine's and the root is a staged one (:mod:`wasmoci.runtime.staging`).

:mod:`~wasmoci.runtime.main` and what it imports at its top is on the way of every native container: of these modules none
imports more than ``os`` and ``sys``.
"""

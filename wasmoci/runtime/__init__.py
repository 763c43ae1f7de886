"""The OCI runtime ``wasmoci-runtime``: a replacement for runc and crun in Podman, Buildah, containerd, CRI-O and Kubernetes.

A native container is passed on to the native runtime by ``exec``, with unchanged arguments. A Wasm container is created by the same
native runtime, from a spec in which the process is the engine's and the root is a staged one (:mod:`wasmoci.runtime.staging`).

:mod:`~wasmoci.runtime.main` and the modules that it imports at its top are loaded for every native container, so these import
only ``os`` and ``sys``.
"""

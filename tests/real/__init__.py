"""With the real ones: Podman, Buildah, containerd and its CRI, runc and crun, over ``wasmoci-runtime``."""

"""Configures Kubernetes: a RuntimeClass with which pods choose the runtime, and an example of a pod."""

from __future__ import annotations

from wasmoci.integration.configuration_plan import Plan, Request

_RUNTIME_CLASS = """\
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: {name}
handler: {name}
# Where not all nodes have it: kubectl label node NODE {name}=true, and
# scheduling:
#   nodeSelector:
#     {name}: "true"
"""

_POD = """\
---
apiVersion: v1
kind: Pod
metadata:
  name: shop
  annotations:
    module.wasm.image/variant: compat-smart         # each container by its own program
    # module.wasm.image/variant.shop: compat        # or: the container called shop, and no other
spec:
  runtimeClassName: {name}
  containers:
    - name: shop                                    # /shop.wasm: Wasm
      image: registry.example/shop:1
      resources:
        limits:
          memory: 64Mi
    - name: proxy                                   # a native side-car
      image: registry.example/proxy:1
"""


def plan(request: Request) -> Plan:
    """Return the objects; there is no file on the nodes."""
    fragment = _RUNTIME_CLASS + (_POD if request.example else "")
    return Plan(
        fragment=fragment.format(name=request.name),
        notes=(
            "apply it with: wasmoci config kubernetes --no-example | kubectl apply -f -",
            "each node needs the runtime, too: wasmoci config containerd --write, or cri-o",
        ),
    )

"""Our handlers with each guest in the jail, to be held to the same as on the handler itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wasmoci import isolation
from wasmoci.handlers.wasm3 import Wasm3Handler
from wasmoci.handlers.wasmtime import WasmtimeHandler
from wasmoci.isolation import Isolation
from wasmoci.isolation.warm_servers import Servers
from wasmoci.limits import NO_LIMITS
from wasmoci.stdio import INHERIT

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.handlers.base import BaseHandler
    from wasmoci.limits import Limits
    from wasmoci.oci.spec import Spec
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Stdio
    from wasmoci.wasm.module import Module

_SERVERS = Servers(eager=True)


class _Jailed:
    def __init__(self, inner: BaseHandler) -> None:
        self._inner = inner
        self.name = inner.name
        self.capabilities = inner.capabilities

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def validate(self, module: Module) -> None:
        self._inner.validate(module)

    def execute(
        self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NO_LIMITS
    ) -> ExecutionResult:
        return isolation.execute(
            self._inner, spec, rootfs, stdio=stdio, limits=limits, isolation=Isolation.JAIL, servers=_SERVERS
        )


class JailedWasm3(_Jailed):
    """wasm3 in the jail."""

    def __init__(self) -> None:
        super().__init__(Wasm3Handler())


class JailedWasmtime(_Jailed):
    """wasmtime in the jail, where it needs not be."""

    def __init__(self) -> None:
        super().__init__(WasmtimeHandler())

    def interrupts(self, module: Module, stdio: Stdio) -> bool:
        """See :meth:`wasmoci.handlers.contract.Interruptible.interrupts`."""
        return bool(self._inner.interrupts(module, stdio))  # type: ignore[attr-defined]

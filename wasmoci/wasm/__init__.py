"""The WebAssembly binary format: read without an engine, and rewritten for engines that need help.

:mod:`wasmoci.wasm.module` is the door to the reading half, :mod:`wasmoci.wasm.rewrite` to the other.
"""

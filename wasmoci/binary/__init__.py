"""The WebAssembly binary format: read without an engine, and rewritten for engines that need help.

:mod:`wasmoci.module` is the door to the reading half, :mod:`wasmoci.binary.rewrite` to the other.
"""

"""Reads WebAssembly binaries without an engine, and rewrites them for engines that need help.

The public functions for reading are in :mod:`wasmoci.wasm.module`, those for rewriting in :mod:`wasmoci.wasm.rewrite`.
"""

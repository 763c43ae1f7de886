"""Reads OCI bundles: the runtime spec, whether it asks for Wasm, the program, and the files that a guest sees."""

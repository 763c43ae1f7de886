"""Implements the handler for wasm3, on the package ``pywasm3``."""

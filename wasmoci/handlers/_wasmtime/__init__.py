"""Implements the handler for wasmtime on its C interface. Private."""

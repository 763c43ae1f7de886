"""Tests of ``wasmoci.testing``."""

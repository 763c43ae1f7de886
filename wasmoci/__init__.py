"""Runs WebAssembly workloads described as OCI containers."""

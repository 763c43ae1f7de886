"""``wasmoci-runtime``: its command line, what it hands on, and Wasm containers over real native runtimes."""

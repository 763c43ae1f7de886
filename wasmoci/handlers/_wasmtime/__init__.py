"""What the handler for wasmtime is made of. Private: it uses parts of wasmtime-py that this package doesn't export."""

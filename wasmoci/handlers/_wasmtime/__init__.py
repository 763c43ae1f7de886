"""What the handler for wasmtime is made of: wasmtime's C interface, and what is built on it. Private."""

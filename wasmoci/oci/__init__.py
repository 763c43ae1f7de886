"""An OCI bundle, read: the runtime spec, whether it asks for Wasm, its program, and the files that a guest sees."""

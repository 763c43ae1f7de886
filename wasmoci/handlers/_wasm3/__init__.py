"""wasm3, as the package ``pywasm3`` brings it."""

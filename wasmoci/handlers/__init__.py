"""Engine handlers: one module an engine, and the contract that they keep."""

"""Implements the functions of WASI preview 1, one module for each family.

Each class takes the :class:`~wasmoci.wasi.host.Host` and has a method for every function of its family. A method takes
exactly the parameters of the function, as integers that may be signed or unsigned, and returns an errno. No value that
a guest passes makes it raise an exception.
"""

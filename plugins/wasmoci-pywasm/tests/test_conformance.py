"""The contract of a handler, on pywasm."""

from wasmoci_pywasm import PywasmHandler

from wasmoci.testing import HandlerConformance


class TestPywasm(HandlerConformance):
    """All of it."""

    handler = PywasmHandler

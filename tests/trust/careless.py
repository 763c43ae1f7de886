"""wasm3 without the care that is taken of it; a worker process imports it from here."""

from wasmoci.handlers.wasm3 import Wasm3Handler
from wasmoci.wasm.module import Feature


class CarelessHandler(Wasm3Handler):
    """Is given modules that its compiler gets wrong."""

    features = Wasm3Handler.features | {Feature.MULTI_VALUE}

"""For tests: bundles in one call.

::

    from wasmoci.testing import bundle

    made = bundle(tmp_path / "bundle", Path("app.wasm"), args=["--name", "x"], files={"/etc/name": "x"})
    wasmoci.run(made).check()
"""

from wasmoci.testing.bundles import assemble, bundle
from wasmoci.testing.changes import Changes
from wasmoci.testing.guest_run import GuestRun

__all__ = ["Changes", "GuestRun", "assemble", "bundle"]

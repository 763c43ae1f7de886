"""``python -m wasmoci``."""

from __future__ import annotations

import sys

from wasmoci.cli import main

sys.exit(main())

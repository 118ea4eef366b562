"""Settings that all tests share."""

from __future__ import annotations

import signal

from hypothesis import settings

# The first example of a test may pay for an import; equal runs draw equal examples.
settings.register_profile("tandem", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tandem")

# A runner in the background may hand down ignored signals; what the tests start must hear Ctrl-C and a hang-up.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

"""What all tests stand on."""

from __future__ import annotations

import signal

# In the background of a shell SIGINT is ignored, and whatever a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

from __future__ import annotations

from tests.fakes.processes import connection_file, fake_ps, mode, run, value

__all__ = ["connection_file", "fake_ps", "mode", "run", "value"]

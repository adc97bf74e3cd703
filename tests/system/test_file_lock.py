from __future__ import annotations

import os
from pathlib import Path

from kg2at_personality.system.file_lock import try_lock


def test_one_at_a_time_has_it(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert try_lock(first) and not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)

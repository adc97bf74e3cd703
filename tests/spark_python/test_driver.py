"""When the JVM is launched. A small package stands for pyspark, in a process of its own; tests/e2e has the real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kg2at_personality import spark_python
from tests.fakes import small_pyspark

#: Its import ends when the JVM is being launched, or when nobody launches one.
PACKAGE = """
from pyspark import java_gateway
with open("imported", "w") as file:
    file.write(str(java_gateway.launched.wait(LIMIT)))
"""
GATEWAY = """
import threading
launched = threading.Event()
def launch_gateway(conf, popen_kwargs):
    launched.set()
"""
PROGRAM = """
import importlib, sys
sys.path[:0] = [".", PARENT]
from kg2at_personality.spark_python.driver import Driver
from kg2at_personality.spark_python.lazy_names import LazyNames
from kg2at_personality.spark_python.notices import Notices
from kg2at_personality.spark_python.progress_line import ProgressLine
names = LazyNames({})
driver = Driver({}, names, Notices(), ProgressLine(print, print))
driver.install(print)
names.define(driver)
"""


@pytest.mark.parametrize(
    ("code", "limit", "is_launched"), [("driver.make()", 20, True), ("import pyspark", 0.1, False)]
)
def test_it_is_launched_while_the_rest_is_imported(tmp_path: Path, code: str, limit: float, is_launched: bool) -> None:
    small_pyspark.make(tmp_path, init=PACKAGE.replace("LIMIT", str(limit)), gateway=GATEWAY)
    program = PROGRAM.replace("PARENT", repr(str(Path(spark_python.__file__).parents[2]))) + code
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "imported").read_text() == str(is_launched)

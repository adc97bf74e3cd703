"""The whole API as its description has it, tried by schemathesis: no answer is a 500, and each is as described.

A run has no chance in it: the same requests each time. What the requests start is bounded, and ends with the gateway.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.web import openapi
from tests.fakes.app import Client
from tests.fakes.toree import QUICK, FakeSpark

pytestmark = pytest.mark.integration
pytest.importorskip("schemathesis", reason="it is in the extra openapi")
TOKEN = "the-right-token"
#: A body may be as described and name a kernelspec that is not there: what is accepted is left to other tests.
OPTIONS = (
    *("--phases", "coverage,fuzzing,stateful", "--max-examples", "3", "--max-time", "25"),
    *("--generation-deterministic", "--no-shrink", "--continue-on-failure", "--request-timeout", "20"),
    *("--warnings", "off", "--no-color", "--exclude-checks", "positive_data_acceptance"),
)
#: A websocket is no answer, and the description is read before all else.
EXCLUDED = {"/api/kernels/{kernel_id}/channels", "/api/swagger.json"}


@pytest.fixture
def settings() -> dict[str, Any]:
    # Each start is a process; when there are so many, a start is refused.
    return QUICK | {"KernelGatewayApp": {"auth_token": TOKEN, "max_kernels": 2}}


@pytest.mark.gen_test(timeout=110)
async def test_each_operation_answers_as_described(gateway: Client, spark: FakeSpark, tmp_path: Path) -> None:
    excluded = [word for path in sorted(EXCLUDED) for word in ("--exclude-path", path)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.base_url}/api/swagger.json"),
        *("-H", f"Authorization: token {TOKEN}", *OPTIONS, *excluded),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said
    tried = len([each for each in described_operations() if each not in EXCLUDED])
    assert f"Tested: {tried}" in said, said
    await gateway.app.personality.shutdown()
    assert spark.living() == [] and gateway.app.kernel_manager.list_kernel_ids() == []


def described_operations() -> list[str]:
    """The path of each operation."""
    paths = openapi.document("/")["paths"]
    return [path for path, told in paths.items() for name in told if name != "parameters"]

"""A real Toree and real executors in the C locale: text that is not ASCII arrives, and every cell ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import Channels
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TEXT = "häß€ 東京 𝄞"
#: The executors have the C locale as well.
EXECUTORS = "spark.executorEnv.LC_ALL C"


@pytest.fixture(scope="module")
def notebook(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channels]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    (directory / "conf").mkdir()
    (directory / "conf" / "spark-env.sh").write_text(
        "export LC_ALL=C\nSPARK_OPTS='--conf spark.my.password=swordfish'\nSPARK_SUBMIT_OPTS=-Dmy.password=swordfish\n"
    )
    defaults = defaults_on(cluster, EXECUTORS)
    with Gateway(directory, environ={"LC_ALL": "C", "LANG": "C"}, defaults=defaults) as gateway:
        kernel_id = gateway.start_kernel()
        channels = gateway.connect(kernel_id)
        yield channels
        channels.close()
        assert "Invalid Signature" not in gateway.log
        assert gateway.delete(kernel_id) == 204


def test_the_locale_is_c(notebook: Channels) -> None:
    """Or the others would show nothing: file names go by it."""
    assert "ANSI_X3.4-1968" in notebook.run('System.getProperty("sun.jnu.encoding")').text


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (f'println("{TEXT}")', "ok"),
        (f'System.err.println("{TEXT}")', "ok"),
        (f'"{TEXT}"', "ok"),
        (f'kernel.display.html("{TEXT}")', "ok"),
        (f'throw new Exception("{TEXT}")', "error"),
        (f"no such name {TEXT}", "error"),
    ],
)
def test_text_arrives_and_the_kernel_goes_idle(notebook: Channels, code: str, status: str) -> None:
    result = notebook.run(code, timeout=60)
    assert result.reply["status"] == status, result
    assert TEXT in result.text or TEXT in "".join(result.reply.get("traceback", [])), result
    assert "42" in notebook.run("40 + 2", timeout=60).text


def test_executors_write_the_same(notebook: Channels, cluster: StandaloneCluster) -> None:
    assert f"Array({TEXT})" in notebook.run(f'sc.parallelize(Seq("{TEXT}"), 1).pipe("cat").collect').text
    assert (
        "UTF-8"
        in notebook.run("sc.parallelize(Seq(1)).map(_ => java.nio.charset.Charset.defaultCharset.name).first").text
    )
    notebook.run(f'sc.parallelize(Seq("{TEXT}"), 1).foreach(println)')

    def written() -> list[str]:
        return [path.read_text("utf-8") for path in cluster.directory.glob("**/app-*/*/stdout")]

    # A thread of the worker's copies it from a pipe (FileAppender).
    wait_until(lambda: any(TEXT in text for text in written()), written)


def test_python_workers_write_the_same(notebook: Channels) -> None:
    code = "import os, sys; print(os.environ.get('PYTHONUTF8'), sys.flags.utf8_mode, sys.stdout.encoding)"
    python = f'sc.parallelize(Seq(1), 1).pipe(Seq("python3", "-c", "{code}"))'
    assert "1 1 utf-8" in notebook.run(f"{python}.first").text


def test_what_spark_env_sh_says_is_a_secret(notebook: Channels) -> None:
    assert "swordfish" in notebook.run('sc.getConf.get("spark.my.password")').text
    assert "swordfish" in notebook.run('System.getProperty("my.password")').text
    assert "false" in notebook.run('sys.env.values.exists(_.contains("swordfish"))').text

"""A Toree that java starts does what one does that spark-submit starts: the same cells, side by side on a cluster."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import Channels, Result
from tests.fakes.gateway_process import Gateway, defaults_on

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
SECRET = "hush-hush"
CELLS = [
    "1 + 1",
    "res0",
    "%lsmagic",
    "%showtypes on",
    "%showtypes off",
    "%%html\n<b>bold</b>",
    "%%sql\nselect 40 + 2 as answer",
    'val rows = spark.range(3).selectExpr("id", "id * 2 as twice")',
    "%%dataframe\nrows",
    "%%dataframe --output=json\nrows",
    "%%dataframe --output=csv --limit=2\nrows",
    "%AddJar file://JAR",
    'println(scala.io.Source.fromInputStream(Thread.currentThread.getContextClassLoader.getResourceAsStream("a.txt")).mkString)',
    "val factor = 3",
    "println(sc.parallelize(1 to 100, 4).map(_ * factor).sum())",
    "case class Point(x: Int, y: Int) { def far = x * x + y * y }",
    "println(sc.parallelize(1 to 10, 4).map(i => Point(i, i)).map(_.far).reduce(_ + _))",
    "println(spark.createDataset(Seq(Point(1, 2), Point(3, 4))).map(_.x).collect().toList)",
    "import org.apache.spark.sql.functions.udf; val twice = udf((n: Long) => n * 2 * factor)",
    'spark.range(4).select(twice($"id")).collect().foreach(println)',
    'spark.udf.register("plus", (n: Long) => n + factor); println(spark.sql("select plus(4)").head)',
    "class Counter extends Serializable { def of(n: Int) = n + factor }; val counter = new Counter",
    "println(sc.parallelize(Seq(1, 2), 2).map(counter.of).collect().toList)",
    "val table = sc.broadcast(Map(1 -> 2)); println(sc.parallelize(Seq(1), 1).map(table.value(_)).first)",
    'println(spark.read.json(spark.createDataset(Seq("""{"a": 1}"""))).schema.simpleString)',
    'throw new Exception("on purpose")',
    "sc.parallelize(1 to 3, 1).map(i => i / 0).sum()",
    'println(sc.getConf.get("spark.my.password"))',
    'println(System.getProperty("my.secret") + System.getProperty("my.word"))',
    "import java.lang.management.ManagementFactory",
    'println(ManagementFactory.getRuntimeMXBean.getInputArguments.toArray.filter(_.toString.contains("-Xmx")).toList)',
    'val others = Set("SPARK_CONF_DIR", "SPARK_SCALA_VERSION")',
    'println(sys.env.filter(each => each._1.startsWith("SPARK_") && !others(each._1)).toList.sorted)',
    "sc.stop(); println(sc.parallelize(1 to 3).sum())",
    'println(getClass.getClassLoader.getResource("log4j2.properties"))',
]


@pytest.fixture(scope="module")
def notebooks(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Channels]]:
    """The notebooks of two gateways: the cache of the second can't be used, as its path holds Toree's name."""
    options = f"spark.driver.extraJavaOptions -Dmy.secret={SECRET} -Dmy.word='two words' -XX:TieredStopAtLevel=1"
    lines = (f"spark.my.password {SECRET}", "spark.driver.memory 700m", "spark.cores.max 1")
    defaults = re.sub("spark.driver.extraJavaOptions.*", options, defaults_on(cluster, *lines))
    opened: list[Channels] = []
    fast, slow = (tmp_path_factory.mktemp(name) for name in ("fast", "slow"))
    caches = {fast: fast / "cache", slow: slow / "toree"}
    with (
        Gateway(fast, "--debug", environ={"KG2AT_CACHE_DIR": str(caches[fast])}, defaults=defaults) as one,
        Gateway(slow, "--debug", environ={"KG2AT_CACHE_DIR": str(caches[slow])}, defaults=defaults) as other,
    ):
        for gateway in (one, other):
            opened.append(gateway.connect(gateway.start_kernel(env={})))
        assert "Toree kernels start by spark-submit" not in one.log and "holds 'toree'" in other.log
        yield opened


def test_the_same_cells_have_the_same_answers(notebooks: list[Channels], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "marked.jar", "w") as jar:
        jar.writestr("a.txt", "from the jar")
    command_lines = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert "slim.jar" in command_lines and SECRET not in command_lines
    differences = []
    for cell in CELLS:
        fast, slow = (notebook.run(cell.replace("JAR", f"{tmp_path}/marked.jar")) for notebook in notebooks)
        told = [(each.reply["status"], _same(each)) for each in (fast, slow)]
        if told[0] != told[1] or (told[0][0] != "ok" and "purpose" not in cell and "/ 0" not in cell):
            differences.append((cell, *told))
    assert not differences


def _same(result: Result) -> str:
    """Leave out what differs from one process to the next, of an error all but its kind, and the order.

    A Toree sends what a cell prints and what it defines by different actors, and says that it waits for its session
    where a busy machine takes 0.1 s to hand it over (Kernel.sparkSession).
    """
    if result.reply["status"] == "error":
        return str(result.reply["ename"])
    text = result.text.replace("Waiting for a Spark session to start...", "")
    return " ".join(sorted(re.sub(r"@[0-9a-f]+|/tmp/\S+|Lambda\S+|Broadcast\(\d+\)", "", text).split()))

"""How a Toree is interrupted: by a signal of its own, and by a handler for it that is better than Toree's."""

from __future__ import annotations

import asyncio

from .client import KernelClient, silent

#: A second SIGINT within 3 s would end a Toree, and nohup's children ignore SIGINT.
SIGNAL = "USR2"
#: Toree 0.5.0's own handler (ScalaInterpreter.interrupt) makes a SparkContext when there is none, which fails in a
#: signal's thread, which has no class loader: the cell runs on, and the notebook can't use Spark any more. And it only
#: asks the cell to end, which a loop does not notice: such a thread is stopped (Java 8 to 19 can). The next cell never
#: has a thread that is stopped, since each interrupt gives Toree a new pool of them.
_HANDLER = """{
  val loader = Thread.currentThread.getContextClassLoader
  val toree = kernel.interpreter("Scala").get
  val tasks = toree.getClass.getMethod("taskManager").invoke(toree).asInstanceOf[org.apache.toree.utils.TaskManager]
  val spark = Class.forName("org.apache.spark.SparkContext$").getField("MODULE$").get(null)
  val active = spark.getClass.getMethod("getActive")
  def cancel() = active.invoke(spark).asInstanceOf[Option[org.apache.spark.SparkContext]].foreach(_.cancelAllJobs())
  sun.misc.Signal.handle(new sun.misc.Signal("%s"), new sun.misc.SignalHandler {
    def handle(signal: sun.misc.Signal): Unit = {
      Thread.currentThread.setContextClassLoader(loader)
      val cells = Thread.getAllStackTraces.keySet.toArray(Array[Thread]()).filter(_.getName.startsWith("task-manager"))
      tasks.synchronized { try cancel() finally tasks.restart() }
      cells.foreach(_.join(5000 / cells.length))
      cells.filter(_.isAlive).foreach(_.stop())
    }
  })
}"""
#: The cell that gives it to a Toree.
CELL = _HANDLER % SIGNAL


async def install(client: KernelClient) -> bool:
    """Give a new Toree the handler. Return False when it dies meanwhile.

    One that refuses it, or takes too long, goes on without; the log tells.
    """
    kernel = client.kernel
    try:
        reply = await asyncio.wait_for(
            client.reply("execute_request", silent(CELL)), kernel.parent.timing.interrupt_limit
        )
        if reply is None:
            return False
        said = client.content(reply)
    except (asyncio.TimeoutError, ValueError) as error:
        said = {"ename": type(error).__name__, "evalue": error}
    if said.get("status") != "ok":
        problem = f"{said.get('ename')}: {said.get('evalue')}"
        kernel.log.warning("Kernel %s may not heed interrupts, it did not learn how: %s", kernel.kernel_id, problem)
    await client.has_left("busy")
    return True

"""How a Toree is interrupted: by a signal of its own, and by a handler for it that is better than Toree's."""

from __future__ import annotations

#: A second SIGINT within 3 s would end a Toree, and nohup's children ignore SIGINT.
SIGNAL = "USR2"
#: Toree 0.5.0's own handler (ScalaInterpreter.interrupt) makes a SparkContext when there is none, which fails in a
#: signal's thread, which has no class loader: the cell runs on, and the notebook can't use Spark any more. And it only
#: asks the cell to end, which a loop does not notice: such a thread is stopped (Java 8 to 19 can). The next cell never
#: has a thread that is stopped, since each interrupt gives Toree a new pool of them. A context that is being made goes
#: on, in a thread of Toree's (Kernel.sparkSession), and the next cell that uses Spark waits for the same one.
#: toree_setup.py defines `active`.
_HANDLER = """
  val loader = Thread.currentThread.getContextClassLoader
  val toree = kernel.interpreter("Scala").get
  val tasks = toree.getClass.getMethod("taskManager").invoke(toree).asInstanceOf[org.apache.toree.utils.TaskManager]
  def cancel() = try Option(active.get).foreach(_.cancelAllJobs()) catch { case _: Throwable => }
  sun.misc.Signal.handle(new sun.misc.Signal("SIGNAL"), new sun.misc.SignalHandler {
    def handle(signal: sun.misc.Signal): Unit = {
      Thread.currentThread.setContextClassLoader(loader)
      val cells = Thread.getAllStackTraces.keySet.toArray(Array[Thread]()).filter(_.getName.startsWith("task-manager"))
      tasks.synchronized { cancel(); tasks.restart() }
      cells.foreach(_.join(5000 / cells.length))
      cells.filter(_.isAlive).foreach(_.stop())
    }
  })
"""
HANDLER = _HANDLER.replace("SIGNAL", SIGNAL)

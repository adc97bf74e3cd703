"""How a Toree tells what its driver does: a thread of it writes a DriverReport into a small file of the kernel's."""

from __future__ import annotations

import base64
import os
from pathlib import Path

#: Scala that starts the thread; toree_setup.py defines `field`, `spark` and `active`.
#: It takes no lock: that of SparkContext's is held for as long as a context is being made (SparkContext.getOrCreate).
#: A constructor that was interrupted leaves its context behind (`contextBeingConstructed`), so a thread has to be in
#: it. DAGScheduler counts jobs at once and all of them; SparkStatusTracker hears of them by a queue that may drop some.
#: Streaming queries of all sessions are known by their threads (StreamExecution, JobGenerator).
#: The file is not made anew when it is gone, and each report overwrites all of the last one.
_REPORTER = """
  val report = new Thread("kg2at driver report") {
    val made = field("contextBeingConstructed")
    var left: org.apache.spark.SparkContext = null
    var said, idle = "null"
    var total, jobs = 0
    def isStarting(): Boolean = {
      val context = made.get(spark).asInstanceOf[Option[org.apache.spark.SparkContext]].orNull
      if (context == null || (context eq left) || context.isStopped) return false
      val stacks = Thread.getAllStackTraces.values.toArray(Array[Array[StackTraceElement]]())
      def isIn(frame: StackTraceElement) =
        frame.getClassName == "org.apache.spark.SparkContext" && frame.getMethodName == "<init>"
      val isMade = stacks.exists(_.exists(isIn(_)))
      if (!isMade) left = context
      isMade
    }
    def streams(): Int = {
      var group = getThreadGroup
      while (group.getParent != null) group = group.getParent
      val threads = new Array[Thread](group.activeCount * 2)
      threads.take(group.enumerate(threads)).count(each =>
        each.getName.startsWith("stream execution thread for ") || each.getName == "JobGenerator")
    }
    def look(): String = {
      val sc = active.get
      val isThere = sc != null && !sc.isStopped
      val wasWorking = jobs > 0
      var begun, tasks, executors = 0
      jobs = 0
      if (isThere) {
        val scheduler = sc.getClass.getMethod("dagScheduler").invoke(sc)
        def told(name: String) = scheduler.getClass.getMethod(name).invoke(scheduler)
        jobs = told("activeJobs").asInstanceOf[scala.collection.mutable.HashSet[_]].size
        begun = told("numTotalJobs").asInstanceOf[Int]
        val tracker = sc.statusTracker
        executors = tracker.getExecutorInfos.length - (if (sc.isLocal) 0 else 1)
        if (jobs > 0) tracker.getActiveStageIds.foreach(id =>
          tracker.getStageInfo(id).foreach(stage => tasks += stage.numTasks - stage.numCompletedTasks))
      }
      if (jobs > 0) idle = "null"
      else if (wasWorking || begun > total) idle = (System.currentTimeMillis / 1000.0).toString
      total = begun
      val id = if (isThere) sc.applicationId else ""
      val ui = if (isThere) sc.uiWebUrl.getOrElse("") else ""
      val port = ui.drop(ui.lastIndexOf(':') + 1).takeWhile(_.isDigit)
      "{\\"is_starting\\": " + (!isThere && isStarting()) + ", \\"app_id\\": \\"" + id +
        "\\", \\"jobs\\": " + jobs + ", \\"tasks\\": " + tasks + ", \\"executors\\": " + Math.max(executors, 0) +
        ", \\"streams\\": " + streams() + ", \\"idle_since\\": " + idle + ", \\"ui_port\\": " +
        (if (port.isEmpty) "0" else port) + ", \\"has_https\\": " + ui.startsWith("https:") + "}"
    }
    override def run(): Unit = {
      val path = new String(java.util.Base64.getDecoder.decode("PATH"), "UTF-8")
      if (!new java.io.File(path).canWrite) return
      val file = new java.io.RandomAccessFile(path, "rw")
      while (true) try {
        Thread.sleep(300)
        val text = look()
        if (text != said && text.length <= 512) {
          file.seek(0)
          file.write(text.padTo(512, ' ').getBytes("US-ASCII"))
          said = text
        }
      } catch { case _: Throwable => }
    }
  }
  report.setDaemon(true)
  val threads = Thread.getAllStackTraces.keySet.toArray(Array[Thread]())
  if (!threads.exists(_.getName == report.getName)) report.start()
"""


def reporter(path: Path) -> str:
    """Return Scala that has a driver report into the file, which has to be there. Any path will do."""
    return _REPORTER.replace("PATH", base64.b64encode(os.fsencode(path)).decode("ascii"))

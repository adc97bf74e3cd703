"""The silent cell by which a new Toree learns what it has to do otherwise, before anybody's code runs in it."""

from __future__ import annotations

import asyncio

from ..client import KernelClient, silent

#: Defines `active`, which holds the driver's SparkContext: SparkContext.getActive would wait while one is being made.
#: Some Spark's compilers have a longer name for a private field (`org$apache$spark$SparkContext$$activeContext`).
_CELL = """{
  val companion = Class.forName("org.apache.spark.SparkContext$")
  val spark = companion.getField("MODULE$").get(null)
  def field(name: String) = {
    val found = companion.getDeclaredFields.filter(_.getName.endsWith(name)).head
    found.setAccessible(true)
    found
  }
  type Context = java.util.concurrent.atomic.AtomicReference[org.apache.spark.SparkContext]
  val active = field("activeContext").get(spark).asInstanceOf[Context]
%s}"""


async def install(client: KernelClient, *parts: str) -> bool:
    """Run pieces of Scala in a new Toree, as one cell. Return False when it dies meanwhile.

    One that refuses it, or takes too long, goes on without; the log tells.
    """
    kernel = client.kernel
    try:
        reply = await asyncio.wait_for(
            client.reply("execute_request", silent(_CELL % "".join(parts))), kernel.parent.timing.interrupt_limit
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

"""The silent cell by which a new Toree learns what it has to do otherwise, before anybody's code runs in it."""

from __future__ import annotations

#: What is assigned to `_` leaves nothing, where the value of a block would be `res0`.
#: Defines `active`, which holds the driver's SparkContext: SparkContext.getActive would wait while one is being made.
#: Some Spark's compilers have a longer name for a private field (`org$apache$spark$SparkContext$$activeContext`).
_CELL = """val _ = {
  val companion = Class.forName("org.apache.spark.SparkContext$")
  val spark = companion.getField("MODULE$").get(null)
  def field(name: String) = {
    val found = companion.getDeclaredFields.filter(_.getName.endsWith(name)).head
    found.setAccessible(true)
    found
  }
  type Context = java.util.concurrent.atomic.AtomicReference[org.apache.spark.SparkContext]
  val active = field("activeContext").get(spark).asInstanceOf[Context]
%s  ()
}"""


def cell(*parts: str) -> str:
    """Return pieces of Scala as one cell, which leaves no name and no number of a result."""
    return _CELL % "".join(parts)

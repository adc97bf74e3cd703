"""SQL on a Scala Toree: the SQL notebook, and cells of %%sql in any.

Toree 0.5.0's own SQL interpreter does not answer a statement that fails, nor any after it (SqlService's future fails,
and OrderedSupport waits for it for ever). Its %%sql shows a failure as a result, so that a notebook runs on, and joins
the lines of a cell, so that a comment hides the rest. Therefore an SQL cell goes to Toree as Scala that gives each
statement to Spark as it is, and the kernel of an SQL notebook calls its language SQL.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from typing import Any

from jupyter_client.session import DELIM, Session

from ...kernels.message import CONTENT, HEADER, parsed, with_content
from ...spark_python.sql_statements import statements
from .cell_substitute import blank, literals, substitute

#: What Toree's SQL interpreter says of itself.
LANGUAGE_INFO = {
    "name": "sql",
    "version": "3",
    "file_extension": ".sql",
    "mimetype": "text/x-sql",
    "pygments_lexer": "sql",
    "codemirror_mode": "text/x-sql",
}
#: Runs statements one after the other. The table of the last one is the cell's result, those before are printed. Toree
#: shows only a MagicOutput whole; a view of its data keeps it from showing parts twice. An error is shown without
#: Spark's own stack trace and plan, as one block.
_RUN = """{
  val text = new _root_.java.lang.String(_root_.java.util.Base64.getDecoder.decode(Array(literals).mkString), "UTF-8")
  def table(start: Int, end: Int) = try {
    val out = new _root_.java.io.ByteArrayOutputStream
    val frame = kernel.sparkSession.sql(text.substring(start, end))
    if (frame.columns.nonEmpty)
      _root_.scala.Console.withOut(new _root_.java.io.PrintStream(out, true, "UTF-8"))(frame.show(10))
    out.toString("UTF-8")
  } catch { case error: Throwable =>
    val said = Iterator.iterate(error)(_.getCause).takeWhile(_ != null).take(99).toSeq.last match {
      case analysis: _root_.org.apache.spark.sql.AnalysisException => analysis.getSimpleMessage.trim
      case root => root.toString.split("\\n").filterNot(_.startsWith("\\tat ")).mkString("\\n")
    }
    val told = new _root_.org.apache.toree.kernel.interpreter.sql.SqlException(said)
    told.setStackTrace(Array())
    throw told
  }
  val spans = Array(positions).mkString.split(" ").map(_.toInt).grouped(2).toArray
  for (span <- spans.init) _root_.scala.Console.print(table(span(0), span(1)))
  val last = table(spans.last(0), spans.last(1))
  _root_.org.apache.toree.magic.MagicOutput(Seq("text/plain" -> last).filter(_ => last.nonEmpty).view: _*)
}"""
_MAGIC = re.compile(r"\s*%%sql(?!\w)", re.IGNORECASE)


def text_of(code: str, is_sql: bool) -> str | None:
    """Return the SQL of a cell, None when it has none. In an SQL notebook (`is_sql`) all is SQL that is no magic."""
    magic = _MAGIC.match(code)
    if magic:
        return code[magic.end() :]
    return code if is_sql and not code.lstrip().startswith("%") else None


def cell(code: str, text: str) -> str:
    """Return the Scala that runs the SQL `text` in place of the cell `code`."""
    found = statements(text)
    if not found:
        return blank(code)
    before = len(code) - len(text)
    positions = _java_positions(code, [before + position for span in found for position in span])
    return substitute(_RUN.replace("positions", literals(" ".join(map(str, positions)))), code)


def _java_positions(code: str, positions: list[int]) -> list[int]:
    """Return ascending `positions` in `code` as Java counts characters: in units of UTF-16."""
    lengths = (code[start:end].encode("utf-16-le", "replace") for start, end in pairwise([0, *positions]))
    return list(accumulate(len(piece) // 2 for piece in lengths))


def from_kernel(session: Session, parts: list[Any]) -> list[Any]:
    """Return the ZeroMQ message of `parts` (signature first); a kernel_info_reply says that the language is SQL."""
    changed = None
    if b'"kernel_info_reply"' in bytes(parts[HEADER]):
        changed = with_content(session, parts, parsed(bytes(parts[CONTENT])) | {"language_info": LANGUAGE_INFO})
    return changed or [DELIM, *parts]

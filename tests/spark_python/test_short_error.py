"""What is shown of Spark's errors: the sentence, and nothing of plans and stacks."""

from __future__ import annotations

import pytest

from kg2at_personality.spark_python.short_error import LINES, SparkStartError, reason

SENTENCE = "[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION] A column `nope` cannot be resolved.; line 1 pos 7"
PARSE = """[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'.(line 1, pos 0)

== SQL ==
selec 1
^^^
"""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"{SENTENCE};\n'Project ['nope]\n+- OneRowRelation\n", SENTENCE),
        (PARSE, PARSE.replace("\n\n", "\n").strip()),
        ("what it is\n\nJVM stacktrace:\nmore", "what it is"),
        ("org.x.Failed: why\n\tat org.x.Y.z(Y.scala:1)\n\t... 3 more\nCaused by: org.x.Deeper: deeper",
         "org.x.Failed: why\nCaused by: org.x.Deeper: deeper"),
        ("", "ValueError"),
        ("line\n" * 99, "\n".join(["line"] * LINES)),
    ],
)  # fmt: skip
def test_the_reason(said: str, shown: str) -> None:
    assert reason(ValueError(said)) == shown


def test_a_start_that_failed_says_what_the_jvm_printed() -> None:
    error = SparkStartError(ValueError("it ended"), "no such jar")
    assert str(error) == "Spark could not be started: it ended Its last lines:\nno such jar"
    assert error._render_traceback_() == [f"SparkStartError: {error}"]

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.spark.redaction import MASK, Redactor, compile_java


def test_the_key_or_the_value_makes_a_secret() -> None:
    redactor = Redactor()
    assert redactor.is_secret("spark.ssl.keyPassword", "x")
    assert redactor.is_secret("spark.hadoop.fs.s3a.access.key", "x")
    assert redactor.is_secret("spark.driver.extraJavaOptions", "-Djdbc.PASSWORD=x")
    assert not redactor.is_secret("spark.executor.memory", "2g")


def test_mask() -> None:
    assert Redactor().mask("spark.my.secret", "x") == "*********(redacted)"
    assert Redactor().mask("spark.executor.memory", "2g") == "2g"


def test_own_regex_replaces_the_default() -> None:
    redactor = Redactor("geheim")
    assert redactor.is_secret("spark.geheim", "x")
    assert not redactor.is_secret("spark.password", "x")


@pytest.mark.parametrize(
    ("java", "found", "not_found"),
    [
        (r"\Qa.b\E.c", "a.bxc", "axbxc"),
        (r"(?<word>token)s", "tokens", "token"),
        (r"key\z", "key", "key\n"),
        (r"key\Z", "key\n", "key\n\n"),
        (r"(?i)straße", "STRAßE", "STRASSE"),
        (r"(?i)é", "é", "É"),  # Java folds ASCII letters only
        (r"\d", "7", "\u0667"),
        (r"[\[&]x", "&x", "bx"),
        (r"\*+", "**", "a"),
    ],
)
def test_java_syntax(java: str, found: str, not_found: str) -> None:
    assert compile_java(java).search(found)
    assert not compile_java(java).search(not_found)


@pytest.mark.parametrize(
    "java",
    ["(secret", r"\p{Alpha}", "a++", "(?>a)", "[a-z&&[^b]]", "[a[bc]]", "a|(?i)b", r"\h", r"\x{1F600}", "(?u)a", "*"],
)
def test_what_python_cannot_do_is_refused(java: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression kg2at can use"):
        compile_java(java)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("spark.my.password=hunter2 ok", f"spark.my.password={MASK} ok"),
        ("spark.my.password: hunter2", f"spark.my.password: {MASK}"),
        ("-Dmy.token=abc -Dx=y", f"-Dmy.token={MASK} -Dx=y"),
        ('{"password": "a b\\"c", "user": "me"}', f'{{"password": {MASK}, "user": "me"}}'),
        ("error: password=hunter2", f"error: password={MASK}"),
        (f"password={MASK}", f"password={MASK}"),
        ("user=me memory: 2g", "user=me memory: 2g"),
        ("password=a,b;c&d", f"password={MASK}"),
        ("secret=token=x token=y", f"secret={MASK} token={MASK}"),
        ("password=", "password="),
    ],
)
def test_pairs_in_text(before: str, after: str) -> None:
    assert Redactor().text(before) == after


def test_known_values_in_text() -> None:
    redactor = Redactor(values={"spark.a.secret": "open sesame", "spark.b.secret": "open", "spark.c": "visible"})
    # The longest goes first, or " sesame" would be left.
    assert redactor.text("he said open sesame, then open; visible") == f"he said {MASK}, then {MASK}; visible"


def test_value_with_blanks_goes_whole_behind_its_key() -> None:
    redactor = Redactor(values={"spark.a.secret": "open sesame now"})
    assert redactor.text("spark.a.secret=open sesame now!") == f"spark.a.secret={MASK}"
    assert redactor.text("spark.a.secret=open sesame now !") == f"spark.a.secret={MASK} !"


def test_multi_line_value_goes_whole_and_line_by_line() -> None:
    redactor = Redactor(values={"spark.a.secret": "-----BEGIN\nMIIBVgIBADAN\n}"})
    assert redactor.text("x -----BEGIN\nMIIBVgIBADAN\n} y") == f"x {MASK} y"
    assert redactor.text("MIIBVgIBADAN") == MASK
    assert redactor.text("}") == "}"


@pytest.mark.parametrize("value", ["true", "FALSE", "256", "7d", "10s", "512m", "ab", "x", "", "none"])
def test_values_that_fill_ordinary_text_stay(value: str) -> None:
    text = f"retries {value} of {value}"
    assert Redactor(values={"spark.a.secretThing": value}).text(text) == text


@pytest.mark.parametrize("value", ["123456", "password", "abc", "a1b2c3"])
def test_values_worth_hiding_go(value: str) -> None:
    assert Redactor(values={"spark.a.secret": value}).text(f"it is {value} here") == f"it is {MASK} here"


def test_a_mere_mention_of_the_word_is_no_secret() -> None:
    redactor = Redactor(values={"spark.redaction.regex": "(?i)token", "spark.auth": "token"})
    assert redactor.text("a token, (?i)token") == "a token, (?i)token"


@pytest.mark.timeout(60)
def test_long_text_takes_linear_time() -> None:
    text = "a" * 300_000 + " " * 300_000 + "!" + "-=" * 100_000
    assert Redactor().text(text) == text


@given(st.dictionaries(st.sampled_from(["spark.a.secret", "spark.b.token"]), st.text(min_size=8)), st.text(), st.text())
def test_no_secret_is_left(values: dict[str, str], before: str, after: str) -> None:
    redactor = Redactor(values=values)
    for value in values.values():
        if value not in MASK and not value.isdigit():
            assert value not in redactor.text(before + value + after).replace(MASK, "\0")

"""README.md and docs/ say what the code does. `python tests/test_docs.py` writes the table of settings."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality import errors
from kg2at_personality.errors import KG2ATError
from kg2at_personality.personality import ENV_PREFIX, KG2ATPersonality
from kg2at_personality.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
GUIDES = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "RELEASING.md")]
SETTINGS = ROOT / "docs" / "settings.md"
#: What can be read in one sitting.
LINES = 250


def replaced(text: str, name: str, content: str) -> str:
    """`text` with `content` between the comments `name` and `/name`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, _, rest = text.partition(begin)
    return f"{head}{begin}{content}\n{end}{rest.partition(end)[2]}"


def settings() -> Iterator[tuple[str, str, object, str]]:
    """Name, variable, default and help of each setting, in the order of the code; Kernel Gateway's own last."""
    personality = KG2ATPersonality.__new__(KG2ATPersonality)
    traits = KG2ATPersonality.class_traits(config=True)
    own = Settings.names()
    for name in [*own, *sorted(traits.keys() - set(own))]:
        variable = f"{ENV_PREFIX}{name.upper()}" if name in own else getattr(KG2ATPersonality, f"{name}_env")
        default = getattr(personality, name)
        # Kernel Gateway splits an unset variable into one empty word.
        yield name, variable, [] if default == [""] else default, traits[name].help


def settings_table() -> str:
    rows = ["| setting | variable | default | what it is |", "|---|---|---|---|"]
    for name, variable, default, text in settings():
        shown = '""' if default == "" else f'"{default}"' if isinstance(default, str) else repr(default)
        rows.append(f"| `{name}` | `{variable}` | `{shown}` | {cell(text)} |")
    return "\n".join(rows)


def cell(text: str) -> str:
    """`text` on one line, with nothing that Markdown would take for its own."""
    return re.sub(r"([*|<>])", r"\\\1", " ".join(text.split()))


def subclasses(cls: type[KG2ATError]) -> Iterator[type[KG2ATError]]:
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from subclasses(child)


@pytest.fixture
def text() -> str:
    """The README, the guides and all pages."""
    return "\n".join(path.read_text(encoding="utf-8") for path in (README, *GUIDES, *PAGES))


def test_the_settings_are_those_of_the_code(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KG_LIST_KERNELS", "KG_ENV_WHITELIST"):
        monkeypatch.delenv(variable, raising=False)
    assert settings_table() in text, "run `python tests/test_docs.py`"


def test_every_error_is_explained_with_its_status(text: str) -> None:
    explained = set(re.findall(r"^\| (\d{3}) \| ([^|]+?) \|", text, re.MULTILINE))
    assert {(str(error.status), error.reason) for error in subclasses(KG2ATError)} <= explained


def test_the_request_variables_are_explained(text: str) -> None:
    from kg2at_personality.admission.request import CORES, MEMORY

    assert dict(re.findall(r"\| `(KERNEL_SPARK_\w+)` \| `([\w.]+)` \|", text)) == CORES | MEMORY


def test_the_make_targets_exist(text: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z][a-z0-9-]*)", text))
    assert named and named <= targets


def test_command_line_options_exist(text: str) -> None:
    from kernel_gateway.gatewayapp import KernelGatewayApp

    for cls in (KG2ATPersonality, KernelGatewayApp):
        named = set(re.findall(rf"--{cls.__name__}\.(\w+)", text))
        assert named and named <= set(cls.class_trait_names(config=True))


@pytest.mark.parametrize(
    "path", [README, *GUIDES, *PAGES, ROOT / "examples" / "connect.md"], ids=lambda path: path.name
)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if re.match("#+ ", line)
    }
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in headings, link
        else:
            assert (path.parent / link.partition("#")[0]).exists(), link


def test_the_guides_name_files_and_tests_that_exist() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in GUIDES)
    folders = "docs|examples|kg2at_personality|kernelspecs|tests|\\.ci"
    named = re.findall(rf"(?<![\w/.])((?:{folders})/[\w./-]*[\w/])(?:::(\w+))?", text)
    assert named
    for name, test in named:
        assert (ROOT / name).exists(), name
        assert not test or f"def {test}(" in (ROOT / name).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("path", [README, *GUIDES, *PAGES], ids=lambda path: path.name)
def test_it_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(((?:docs/)?[\w-]+\.md)\)", README.read_text(encoding="utf-8")))
    assert linked - {"CHANGELOG.md"} == {str(path.relative_to(ROOT)) for path in (*GUIDES, *PAGES)}


if __name__ == "__main__":
    SETTINGS.write_text(replaced(SETTINGS.read_text(encoding="utf-8"), "settings", settings_table()), encoding="utf-8")
    sys.stdout.write(f"Wrote {SETTINGS}\n")

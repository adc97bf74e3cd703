from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path

import pytest

from kg2at_personality.errors import InstallationError
from kg2at_personality.kernels.launch.toree_jars import MOST, ToreeJarCache, ToreeJars
from tests.fakes.installation import make_jar

OTHERS = ("play/api/Json.class", "akka/A.class", "reference.conf", "log4j.properties", "hive-site.xml")


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    return make_jar(tmp_path / "lib" / "assembly.jar", "0.5.0", "2.12.15", *OTHERS)


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c") / "cache"


def names(jar: Path) -> set[str]:
    with zipfile.ZipFile(jar) as content:
        assert content.testzip() is None
        return set(content.namelist())


def good(jars: ToreeJars) -> bool:
    return "org/apache/toree/Main.class" in names(jars.slim) and "akka/A.class" in names(jars.rest)


def test_each_class_is_in_one_of_them(assembly: Path, directory: Path) -> None:
    jars = ToreeJarCache(directory).of(str(assembly))
    assert names(jars.slim) == {
        "META-INF/MANIFEST.MF",
        "org/apache/toree/Main.class",
        "org/apache/toree/kernel/BuildInfo$.class",
        "play/api/Json.class",
    }
    own = {name for name in names(jars.slim) if "toree" in name}
    assert names(jars.rest) == names(assembly) - own - {"log4j.properties", "hive-site.xml"}
    modes = {path.stat().st_mode & 0o777 for path in jars.slim.parent.iterdir()}
    assert modes == {0o600} and directory.stat().st_mode & 0o777 == jars.slim.parent.stat().st_mode & 0o777 == 0o700
    assert len(list(jars.slim.parent.iterdir())) == 3, "nothing is left of the making"


@pytest.mark.parametrize("name", ["slim.jar", "rest.jar", "sums.json"])
@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_damaged_one_is_made_anew(assembly: Path, directory: Path, name: str, damage: str) -> None:
    path = ToreeJarCache(directory).of(str(assembly)).slim.parent / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-5] if damage == "cut" else content[:20] + b"x" + content[21:])
    assert good(ToreeJarCache(directory).of(str(assembly))) and path.read_bytes() == content


def test_another_assembly_has_others(assembly: Path, directory: Path) -> None:
    cache = ToreeJarCache(directory)
    first = cache.of(str(assembly))
    make_jar(assembly, "0.5.1")
    assert cache.of(str(assembly)).slim != first.slim
    for number in range(MOST + 1):
        make_jar(assembly, f"0.6.{number}")
        assert cache.of(str(assembly)).slim.exists()
    assert len(list(directory.iterdir())) == MOST and not first.slim.exists()


def test_two_gateways_at_once(assembly: Path, directory: Path) -> None:
    """Each makes them; both find them whole."""
    caches, found = [ToreeJarCache(directory) for _ in range(4)], []
    threads = [threading.Thread(target=lambda cache=cache: found.append(cache.of(str(assembly)))) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(good(jars) for jars in found)


def test_what_another_gateway_has_removed_meanwhile(assembly: Path, directory: Path) -> None:
    """It is listed, and gone when it is looked at."""
    cache = ToreeJarCache(directory)
    folder = cache.of(str(assembly)).slim.parent
    (folder / "slim.jar").unlink()
    (folder / "slim.jar.123").symlink_to(directory / "gone")
    (directory / "jars-123").symlink_to(directory / "gone")
    assert good(cache.of(str(assembly)))


def test_where_they_are_not_made(assembly: Path, directory: Path, tmp_path: Path) -> None:
    with pytest.raises(InstallationError, match="holds 'toree'"):
        ToreeJarCache(directory / "My-Toree").of(str(assembly))
    directory.mkdir(mode=0o777)
    os.chmod(directory, 0o777)
    with pytest.raises(PermissionError, match="others may write into it"):
        ToreeJarCache(directory).of(str(assembly))
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        ToreeJarCache(tmp_path / "file").of(str(assembly))

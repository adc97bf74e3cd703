"""What `/kernelspecs/NAME/...` hands out: what the listing names, by whatever way one asks."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tornado.web import HTTPError

from kg2at_personality.web.specs import resource_name

pytestmark = pytest.mark.gen_test

#: Each led to kernel.json, its directory or another file when it was not refused by name alone.
WAYS = [
    *("kernel.json%2f.", "kernel.json/.", "kernel.json%2f.%2f.", "x%2f..%2fkernel.json%2f.", "x/../kernel.json"),
    *("kernel.json", "KERNEL.JSON", "./kernel.json", "kernel.json/", "kernel.json//", "%6bernel.json", "kernel%2ejson"),
    *("..%2f..%2fkernel.json", "%2fetc%2fpasswd", "//etc/passwd", ".", "", "..", "logo-64x64.png%2f..%2fkernel.json"),
    *("kernel.json%00", "kernel.json%00.png", "logo-%00", "%00", "kernel.json%20"),
    *("secret.txt", "logo-dir%2fsecret.txt", "logo-dir%2f..%2fsecret.txt", ".logo-64x64.png", "logo-dir/secret.txt"),
]


@pytest.fixture
def directory(environ: Path) -> Path:
    """Install a kernelspec with a secret, a logo and what a front end needs."""
    made = environ.parent / "DATA" / "kernels" / "own"
    (made / "logo-dir").mkdir(parents=True)
    spec = {"argv": ["hush-hush"], "display_name": "Own", "language": "x", "env": {"PASSWORD": "hush-hush"}}
    (made / "kernel.json").write_text(json.dumps(spec))
    for name in ("secret.txt", "logo-dir/secret.txt"):
        (made / name).write_text("hush-hush")
    for name in ("logo-64x64.png", "logo-svg.svg", "kernel.js", "kernel.css"):
        (made / name).write_text(name)
    return made


async def test_no_other_file_is_handed_out(directory: Path, gateway: Any) -> None:
    for method, way in product(("GET", "HEAD"), WAYS):
        answer = await gateway.ask(method, f"/kernelspecs/own/{way}")
        assert answer.code == 404 and b"hush" not in answer.body, way


async def test_what_the_listing_names_is(directory: Path, gateway: Any) -> None:
    model = json.loads((await gateway.ask("GET", "/api/kernelspecs/own")).body)
    named = [url for url in model["resources"].values() if not url.endswith("logo-dir")]
    assert len(named) == 4
    for url in (*named, "/kernelspecs/own/./x/../kernel.js"):
        answer = await gateway.ask("GET", url)
        assert answer.code == 200 and answer.body.decode() == url.rpartition("/")[2]
        assert (await gateway.ask("HEAD", url)).code == 200
    assert (await gateway.ask("GET", "/kernelspecs/own/logo-dir")).code in (403, 404)


async def test_a_name_that_is_none_is_404(directory: Path, gateway: Any) -> None:
    for name in ("own%00", "%00", "o%2fwn", "..", "%2e%2e", "nope", "own%0a"):
        for path in (f"/kernelspecs/{name}/kernel.js", f"/api/kernelspecs/{name}", f"/api/kernelspecs/{quote(name)}"):
            assert (await gateway.ask("GET", path)).code == 404, path


def test_a_path_is_normalised_before_it_is_compared() -> None:
    assert resource_name("a/../logo-64x64.png/.") == "logo-64x64.png"
    for path in ("", ".", "logo-a/b", "/logo-a", "kernel.JS", "kernel.js\0", "../own/kernel.js"):
        with pytest.raises(HTTPError):
            resource_name(path)

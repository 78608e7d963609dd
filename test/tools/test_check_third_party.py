"""tools/check-third-party on small programs linked for the purpose against doctored inventories."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check-third-party"

INVENTORY = """\
## Linked into the product

| package | version | licence | linked as |
|---|---|---|---|
| libone-dev | 1.0 | MIT | `libone.so.1` |
| libc6-dev | 2.36 | LGPL-2.1-or-later | `libc.so.6` |

## Build, test and benchmark only

| package | version | licence | what for |
|---|---|---|---|
| libtwo-dev | 2.0 | GPL-3.0 | tests (`libtwo.so.2`) |
"""


def cc(*arguments):
    subprocess.run(["cc", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libraries")
    for name, version in (("one", 1), ("two", 2)):
        source = folder / f"{name}.c"
        source.write_text(f"int {name}(void) {{ return {version}; }}\n")
        soname = f"lib{name}.so.{version}"
        cc("-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", folder / soname, source)
    main = folder / "main.c"
    main.write_text("int main(void) { return 0; }\n")
    return folder


def link(libraries, build, program, *names):
    target = build / ("lib" if program.startswith("lib") else "bin") / program
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = ["-shared", "-fPIC"] if program.startswith("lib") else []
    used = [libraries / name for name in names]
    cc(*kind, "-o", target, libraries / "main.c", "-Wl,--no-as-needed", *used)


@pytest.fixture
def build(libraries, tmp_path):
    folder = tmp_path / "build"
    link(libraries, folder, "jadevectordb", "libone.so.1")
    link(libraries, folder, "jade-db")
    link(libraries, folder, "libjade.so")
    link(libraries, folder, "test_x", "libone.so.1", "libtwo.so.2")
    return folder


def run(build, tmp_path, inventory=INVENTORY, *options):
    path = tmp_path / "THIRD_PARTY.md"
    path.write_text(inventory)
    return subprocess.run(
        [sys.executable, str(TOOL), str(build), "--inventory", str(path), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_complete_inventory_passes(build, tmp_path):
    result = run(build, tmp_path)
    assert result.returncode == 0, result.stdout
    assert "4 built files, 3 rows agree" in result.stdout


def test_product_may_not_link_a_test_library(libraries, build, tmp_path):
    link(libraries, build, "jade-db", "libtwo.so.2")
    result = run(build, tmp_path)
    assert result.returncode == 1
    assert "jade-db: links libtwo.so.2" in result.stdout


def test_library_missing_from_inventory_is_named(build, tmp_path):
    result = run(build, tmp_path, INVENTORY.replace("`libtwo.so.2`", "two"))
    assert result.returncode == 1
    assert "test_x: links libtwo.so.2" in result.stdout


def test_row_that_nothing_links_is_stale(libraries, build, tmp_path):
    link(libraries, build, "jadevectordb")
    result = run(build, tmp_path)
    assert result.returncode == 1
    assert "libone-dev is linked by nothing" in result.stdout


def test_copyleft_is_refused_in_the_product(build, tmp_path):
    result = run(build, tmp_path, INVENTORY.replace("| 1.0 | MIT |", "| 1.0 | GPL-2.0 |"))
    assert result.returncode == 1
    assert "libone-dev: licence 'GPL-2.0' is not permissive" in result.stdout


def test_empty_build_folder_fails(tmp_path):
    result = run(tmp_path / "nothing", tmp_path)
    assert result.returncode == 1
    assert "none of jadevectordb, jade-db, libjade.so was built" in result.stdout


def test_wrong_version_is_reported_on_request(build, tmp_path, monkeypatch):
    fake = tmp_path / "fake" / "dpkg-query"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$3" = libone-dev ] && printf "ii 1:1.1-2+deb12u1"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    assert run(build, tmp_path).returncode == 0
    result = run(build, tmp_path, INVENTORY, "--versions")
    assert result.returncode == 1
    assert "libone-dev is 1.1-2+deb12u1, the inventory says 1.0" in result.stdout
    right = INVENTORY.replace("| libone-dev | 1.0 |", "| libone-dev | 1.1 |")
    assert run(build, tmp_path, right, "--versions").returncode == 0


def test_inventory_without_product_table_is_an_error(build, tmp_path):
    assert run(build, tmp_path, "# nothing\n").returncode == 2

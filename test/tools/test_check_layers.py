"""tools/check-layers on tiny doctored trees: each rule catches its breach and lets the rest pass."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check-layers"


def run(root, *options):
    return subprocess.run(
        [sys.executable, str(TOOL), "--root", str(root), *map(str, options)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def plant(root, files):
    (root / "src").mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def house(tmp_path):
    """A small house that keeps every rule."""
    plant(
        tmp_path,
        {
            "include/jade/jade.h": '#include <stdint.h>\n#include "jade/code.h"\n',
            "include/jade/code.h": "enum jade_code { JADE_OK };\n",
            "src/base/err.h": "#include <jade/code.h>\n",
            "src/os/posix/file.c": '#include "os/file.h"\nint f(void) { return rename("a", "b"); }\n',
            "src/os/file.h": '#include "base/err.h"\n',
            "src/format/json_simdjson.cc": '#include "base/err.h"\n#include <simdjson.h>\n',
            "src/store/wal.c": '#include "store/wal_private.h"\n#include "os/file.h"\n',
            "src/store/wal_private.h": '#include "base/err.h"\nint jadei_wal_roll(int n);\n',
            "src/cli/main.c": '#include "base/err.h"\n#include <curl/curl.h>\n',
        },
    )
    return tmp_path


def test_clean_tree_passes(house):
    result = run(house)
    assert result.returncode == 0, result.stdout
    assert "9 files keep to their floors" in result.stdout


BREACHES = {
    "upward": ("src/base/x.c", '#include "os/file.h"', "floors: upward"),
    "sideways": ("src/os/x.c", '#include "format/json.h"', "floors: sideways"),
    "unknown folder": ("src/store/x.c", '#include "misc/x.h"', "names no folder"),
    "not relative to src": ("src/store/x.c", '#include "wal_private.h"', "names no folder"),
    "file in unknown folder": ("src/misc/x.c", "int a;", "no folder that has a floor"),
    "file directly in src": ("src/x.c", "int a;", "no folder that has a floor"),
    "private header": ("src/index/x.c", '#include "store/wal_private.h"', "private to src/store"),
    "engine uses network folder": ("src/shard/x.c", '#include "net/loop.h"', "engine:"),
    "engine uses network header": ("src/index/x.c", "#include <sys/socket.h>", "engine:"),
    "cli reaches around the API": ("src/cli/x.c", '#include "store/wal.h"', "cli:"),
    "public header includes inside": ("include/jade/x.h", '#include "base/err.h"', "public:"),
    "rename outside os": ("src/store/x.c", 'int f(void) { return rename("a", "b"); }', "rename:"),
    "renameat in the server": ("src/server/x.c", "int f(void) { return renameat(1); }", "rename:"),
    "file call outside os": ("src/store/x.c", "int f(int d) { return fsync (d); }", "files:"),
    "fopen in node": ("src/node/x.c", 'void f(void) { fopen("a", "r"); }', "files:"),
    "clock outside os": ("src/index/x.c", "long f(void) { return time(0); }", "clocks:"),
    "malloc outside base": ("src/index/x.c", "void *f(void) { return malloc(3); }", "memory:"),
    "strcpy": ("src/base/x.c", "void f(char *a) { strcpy(a, a); }", "banned:"),
    "sprintf in os": ("src/os/x.c", 'void f(char *a) { sprintf(a, "b"); }', "banned:"),
    "localtime": ("src/server/x.c", "void f(long *t) { localtime(t); }", "banned:"),
    "call in a macro": ("src/base/x.h", "#define N(s) atoi(s)", "banned:"),
    "inside name used outside": ("src/index/x.c", "int a = jadei_wal_roll(1);", "inside: jadei_wal"),
    "second C++ file": ("src/index/x.cc", "int a;", "one-cxx:"),
    "file too long": ("src/base/x.c", "\n" * 1501, "length:"),
}


@pytest.mark.parametrize("case", BREACHES, ids=lambda name: name.replace(" ", "_"))
def test_breach_is_reported_with_file_and_rule(house, case):
    path, text, expected = BREACHES[case]
    plant(house, {path: text + "\n"})
    result = run(house)
    assert result.returncode == 1, result.stdout
    hits = [line for line in result.stdout.splitlines() if expected in line]
    assert len(hits) == 1, result.stdout
    assert "1 breaches" in result.stdout
    if case != "second C++ file":
        assert hits[0].startswith(path + ":")


def test_line_number_is_that_of_the_breach(house):
    plant(house, {"src/store/x.c": '/* one\n two */\nint a;\n#include "api/rest.h"\n'})
    assert "src/store/x.c:4: floors: upward" in run(house).stdout


HARMLESS = {
    "comment": "/* strcpy(a, b); rename(a, b) */\n// fsync(fd)\n",
    "text": 'const char *f(void) { return "open(%s): strcpy(" "\\"gets("; }\n',
    "member by arrow": "int f(struct x *x) { return x->open(x) + x->ops->rename(x); }\n",
    "member by dot": "int f(struct x x) { return x.read(1); }\n",
    "longer name": "int f(void) { return jade_disk_open(1) + xstrcpy(2) + opens(3); }\n",
    "safe kin": "void f(void) { localtime_r(a, b); gmtime_r(a, b); strtok_r(a, b, c); snprintf(a); }\n",
    "commented include": '/*\n#include "api/rest.h"\n*/\n',
    "quote character": "int f(int c) { return c == '\"' ? 1 : 2; } /* strcpy( */\n",
    "poison list": "#define strcpy(a, b) jade_banned_strcpy\n",
}


@pytest.mark.parametrize("case", HARMLESS, ids=lambda name: name.replace(" ", "_"))
def test_what_only_looks_like_a_breach_passes(house, case):
    plant(house, {"src/store/x.c": HARMLESS[case]})
    result = run(house)
    assert result.returncode == 0, result.stdout


def test_allowed_calls_pass_only_where_they_are_allowed(house):
    text = 'void *f(void) { return fopen("a", "r"); }\n'
    plant(house, {"src/cli/import.c": text})
    assert run(house).returncode == 0
    plant(house, {"src/api/x.c": text})
    assert "src/api/x.c:1: files:" in run(house).stdout


def test_picture_is_repeatable_and_staleness_is_seen(house, tmp_path):
    picture = tmp_path / "layers.svg"
    missing = run(house, "--check-svg", picture)
    assert missing.returncode == 1 and "stale" in missing.stdout
    assert run(house, "--svg", picture).returncode == 0
    first = picture.read_bytes()
    assert run(house, "--check-svg", picture).returncode == 0
    run(house, "--svg", picture)
    assert picture.read_bytes() == first

    plant(house, {"src/catalog/kv.c": '#include "store/wal.h"\n'})
    stale = run(house, "--check-svg", picture)
    assert stale.returncode == 1 and "stale" in stale.stdout


def test_picture_leaves_out_what_follows_from_other_arrows(house, tmp_path):
    def arrows():
        picture = tmp_path / "p.svg"
        run(house, "--svg", picture)
        return picture.read_text(encoding="utf-8").count("marker-end")

    # store -> os -> base, format -> base, cli -> base; store -> base follows.
    assert arrows() == 4
    plant(house, {"src/store/more.c": '#include "base/err.h"\n'})
    assert arrows() == 4
    plant(house, {"src/store/more.c": '#include "format/block.h"\n'})
    assert arrows() == 5


def test_uses_lists_both_directions(house):
    out = run(house, "--uses", "os").stdout
    assert "includes:    base" in out and "included by: store" in out
    assert run(house, "--uses", "attic").returncode == 2


def test_this_project_keeps_its_own_rules():
    result = run(TOOL.parent.parent)
    assert result.returncode == 0, result.stdout

"""What the guides say of machines and of starts that fail is so (TC-005, DR-006)."""

import os
import re
import subprocess

import libjade
import pytest
from server import ROOT, program, run_to_end

GUIDE = (ROOT / "docs/guides/running-the-server.md").read_text()
BUILT = {"jadevectordb": program, "jade-db": lambda: program("jade-db"), "libjade.so": libjade.path}


def version(text):
    return tuple(int(part) for part in text.split("."))


def documented(pattern):
    found = re.findall(pattern, GUIDE)
    assert len(found) == 1, (pattern, found)
    return version(found[0])


def needed(binary, family):
    """Highest symbol version of a family that the loader will ask for."""
    out = subprocess.run(["readelf", "--version-info", "--wide", str(binary)], check=True, capture_output=True, text=True).stdout
    wanted = out[out.index("Version needs section") :]
    return max((version(v) for v in re.findall(rf"Name: {family}_([0-9.]+)\b", wanted)), default=(0,))


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("family, pattern", [("GLIBC", r"\| glibc ([0-9.]+) \|"), ("GLIBCXX", r"GLIBCXX_([0-9.]+)")])
def test_the_libraries_floor_is_told(name, family, pattern):
    floor, asked = documented(pattern), needed(BUILT[name](), family)
    assert asked <= floor, f"{name} needs {family}_{'.'.join(map(str, asked))}"
    if family == "GLIBC":
        assert asked > (2, 2, 5)  # something was read
        assert floor <= version(os.confstr("CS_GNU_LIBC_VERSION").split()[1])


def test_the_kernel_is_one_of_those():
    assert documented(r"Linux ([0-9.]+) \(getrandom\)") <= version(re.match(r"[0-9]+\.[0-9]+", os.uname().release).group())


@pytest.mark.parametrize("name", BUILT)
def test_no_processor_feature_beyond_the_baseline_is_asked_by_the_loader(name):
    notes = subprocess.run(["readelf", "--notes", "--wide", str(BUILT[name]())], check=True, capture_output=True, text=True).stdout
    isa = re.findall(r"x86 ISA needed: (.*)", notes)
    assert all(words.strip() == "x86-64-baseline" for words in isa), isa


def test_the_portable_kernels_serve(own_server):
    s = own_server(JADE_SIMD="scalar")
    db = s.client().create_database("a", 3, metric="euclidean")
    db.upsert_many([{"id": str(i), "values": [i, 1, 2]} for i in range(100)])
    assert db.search([41.2, 1, 2], top_k=1)[0]["id"] == "41"


# ---- docs/guides/troubleshooting.md ----

TROUBLE = (ROOT / "docs/guides/troubleshooting.md").read_text()
CASES = [  # flags, environment, exit code, the message as the guide has it ("..." stands for anything)
    (["--data", "{tmp}/d", "--listen", "127.0.0.1:0"], {"JADE_ADMIN_KEY": "short"}, 1, "JADE_ADMIN_KEY has 5 characters, expected 16 to 256"),
    (["--config", "{tmp}/config.yaml"], {"TEXT": "data: d\nlog:\n  levle: info\n"}, 2, "log.levle: config.yaml:3: there is no such setting"),
    (["--config", "{tmp}/config.yaml"], {"TEXT": "storage:\n  sealMiB: many\n"}, 2, "storage.sealMiB: config.yaml:2: 'many'; expected ..."),
    (["--config", "{tmp}/none.yaml"], {}, 2, "configuration file ...: No such file or directory"),
    (["--data", "/proc/none/d"], {}, 1, "making folder ...: "),
    (["--data", "{tmp}/d", "--listen", "0.0.0.0:0"], {}, 2, "listen: ... is reachable from other machines and there is no TLS yet"),
]


@pytest.mark.parametrize("flags, env, code, message", CASES)
def test_a_start_that_fails_is_in_the_guide(tmp_path, flags, env, code, message):
    assert message in TROUBLE
    env = dict(env)
    (tmp_path / "config.yaml").write_text(env.pop("TEXT", ""))
    r = run_to_end(*[f.replace("{tmp}", str(tmp_path)) for f in flags], **env)
    pattern = re.escape(message).replace(re.escape("..."), ".*").replace(re.escape("config.yaml"), ".*config.yaml")
    assert r.returncode == code and re.search(pattern, r.stderr), r.stderr

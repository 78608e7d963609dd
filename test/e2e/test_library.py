"""What libjade.so is made of: no network, no instructions that a baseline processor lacks outside the kernel files."""

import re
import subprocess

import libjade
import numpy
import pytest
from server import program

# Libraries that may not come with the engine, and calls that only network code makes.
NETWORK_LIBRARIES = ("event", "curl", "nghttp", "ssl", "crypto", "grpc", "nsl", "resolv")
NETWORK_CALLS = set(
    "socket socketpair connect bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg getaddrinfo gethostbyname "
    "getsockname getpeername setsockopt getsockopt shutdown inet_pton inet_addr".split()
)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_libjade_links_no_network_library():
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", str(libjade.path())))
    assert any(n.startswith("libc.so") for n in needed)
    assert not [n for n in needed if any(w in n for w in NETWORK_LIBRARIES)], needed


def test_libjade_imports_no_socket_call():
    imported = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "--undefined-only", str(libjade.path())).splitlines()}
    assert "pwrite" in imported or "pwrite64" in imported
    assert not imported & NETWORK_CALLS


def test_libjade_exports_its_public_header_only():
    exported = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", str(libjade.path())).splitlines()}
    assert {"jade_env_open", "jade_db_search", "jade_code_name"} <= exported
    header = (libjade.ROOT / "include/jade/jade.h").read_text() + (libjade.ROOT / "include/jade/code.h").read_text()
    declared = set(re.findall(r"\b(jade_[a-z0-9_]+)\(", header))
    # Unique symbols of the C++ standard library's inline functions cannot be hidden ("u" of nm); __asan: sanitized builds.
    assert not {e for e in exported - declared if not e.startswith(("_ZZNSt", "__asan_", "__odr_asan"))}


def wide_functions(binary):
    """Functions with AVX registers or AVX-encoded instructions: {(address, symbol): first of them}."""
    found, at = {}, None
    process = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", str(binary)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.endswith(">:\n"):
            address, symbol = line[:-3].split(" <", 1)
            at = (address, symbol)
        elif "\t" in line:
            text = line.split("\t", 1)[1]
            # VEX and EVEX instructions are spelled with a leading v and work on %xmm, %ymm, %zmm or %k registers.
            if "%ymm" in text or "%zmm" in text or re.match(r"(v\w+|k\w+) .*%([xk])", text):
                found.setdefault(at, text.strip())
    assert process.wait() == 0
    return found


def source_files(binary, addresses):
    """Source file of each address, from the debug information."""
    out = run("addr2line", "-e", str(binary), *addresses).splitlines()
    return [line.rsplit(":", 1)[0] for line in out]


@pytest.mark.parametrize("which", ["libjade.so", "jadevectordb", "jade-db"])
def test_only_kernels_use_wide_instructions(which):
    binary = libjade.path() if which == "libjade.so" else program(which)
    wide = wide_functions(binary)
    files = source_files(binary, [address for address, _ in wide]) if wide else []
    strange = {s: (f, wide[(a, s)]) for (a, s), f in zip(wide, files) if not re.search(r"src/simd/\w+_avx(2|512)\.c$", f)}
    # What is inlined into a kernel may begin with a line of the compiler's own header of intrinsics.
    strange = {s: v for s, v in strange.items() if not re.search(r"/include/\w*(avx|fma|f16c)\w*\.h$", v[0])}
    assert not strange, strange
    if which == "libjade.so":
        assert len(wide) > 5, "the test would not see a kernel"


def test_the_library_answers_as_its_header_says(tmp_path):
    rows = numpy.random.default_rng(1).standard_normal((500, 16)).astype(numpy.float32)
    lib = libjade.Library(tmp_path / "env", 16, metric="euclidean")
    lib.upsert([str(i) for i in range(500)], rows)
    d = numpy.sqrt(((rows.astype(float) - rows[7]) ** 2).sum(1))
    assert [int(x) for x, _ in lib.search(rows[7], 10, exact=True)] == list(numpy.argsort(d)[:10])
    with pytest.raises(libjade.LibError) as e:
        lib.search(rows[7], 0)
    assert e.value.args[0] == -1
    lib.close()

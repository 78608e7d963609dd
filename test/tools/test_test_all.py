"""What CI runs, the switch that leaves tests out, and scripts/test-all's sums: with made-up suites in place of the real ones."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "test-all"


@pytest.fixture
def runner():
    loader = importlib.machinery.SourceFileLoader("test_all_under_test", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no scripts/__pycache__
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@pytest.fixture
def run(runner, monkeypatch, tmp_path, capsys):
    """run({"unit": (passed, failed, skipped)}, *options) is (exit code, lines printed, suites that ran)."""

    def go(results, *options, quick=(), optional=(), **env):
        ran = []

        def suite(name, result):
            return runner.Suite(name, lambda: ran.append(name) or result, default=name not in optional, quick=name in quick)

        monkeypatch.setattr(runner, "build_all", lambda preset: str(tmp_path) if results is not None else None)
        monkeypatch.setattr(runner, "suites", lambda build, reports: [suite(n, r) for n, r in results.items()])
        monkeypatch.setattr(sys, "argv", ["test-all", *options])
        for word in ("CI", "JADE_SKIP_TESTS"):
            monkeypatch.delenv(word, raising=False)
        for key, value in env.items():
            monkeypatch.setenv(key, value)
        code = runner.main()
        return code, capsys.readouterr().out.splitlines(), ran

    return go


# ---- .ci/run (TS-005) ----


def test_ci_runs_what_a_user_runs(tmp_path):
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "make $* in $(pwd) CI=$CI"; exit 7\n')
    make.chmod(0o755)
    r = subprocess.run(
        [ROOT / ".ci" / "run"], cwd=tmp_path, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60
    )
    assert r.stdout.strip() == f"make test in {ROOT} CI=true"
    assert r.returncode == 7  # a failed test is a failed run


def test_make_test_is_the_runner_of_all_suites():
    r = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert "scripts/test-all" in r.stdout and "--only" not in r.stdout and "--quick" not in r.stdout


# ---- JADE_SKIP_TESTS (TS-006) ----


def test_leaving_the_tests_out_is_said_aloud():
    r = subprocess.run([SCRIPT], env={**os.environ, "JADE_SKIP_TESTS": "1"}, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and r.stdout == "JADE_SKIP_TESTS=1: NO TEST WAS RUN\n"


def test_only_1_leaves_the_tests_out(run):
    code, lines, ran = run({"unit": (3, 0, 0)}, JADE_SKIP_TESTS="0")
    assert code == 0 and ran == ["unit"] and lines[-1] == "3 passed, 0 failed"


# ---- the sums (TS-008) ----


def test_the_last_line_counts_all_suites(run):
    code, lines, ran = run({"unit": (30, 0, 0), "e2e": (12, 0, 0)})
    assert code == 0 and ran == ["unit", "e2e"] and lines[-1] == "42 passed, 0 failed"
    table = {line.split()[0]: line.split()[1:] for line in lines[lines.index("suite        seconds   passed  failed  skipped") + 1 :] if line}
    assert table["unit"][1:] == ["30", "0", "0"] and table["e2e"][1:] == ["12", "0", "0"]
    for name in ("build", "unit", "e2e", "all"):
        assert float(table[name][0]) >= 0


def test_one_failed_test_fails_the_run_and_stops_no_other_suite(run):
    code, lines, ran = run({"unit": (30, 1, 0), "e2e": (12, 0, 0)})
    assert code == 1 and ran == ["unit", "e2e"] and lines[-1] == "42 passed, 1 failed"


def test_skipped_tests_are_counted_and_fail_in_ci(run):
    code, lines, _ = run({"unit": (30, 0, 2)})
    assert code == 0 and lines[-1] == "30 passed, 0 failed, 2 skipped"
    code, lines, _ = run({"unit": (30, 0, 2)}, CI="true")
    assert code == 1 and lines[-1] == "30 passed, 2 failed"


def test_a_run_without_tests_has_not_passed(run):
    code, lines, _ = run({"unit": (0, 0, 0)})
    assert code == 1 and lines[-1] == "0 passed, 0 failed"


def test_a_failed_build_is_a_failed_run(run):
    code, lines, ran = run(None)
    assert code == 1 and not ran and lines[-1] == "0 passed, 1 failed"


def test_suites_are_chosen(run):
    suites = {"unit": (1, 0, 0), "e2e": (1, 0, 0), "long": (1, 0, 0)}
    more = {"quick": ["unit"], "optional": ["long"]}
    assert run(suites, **more)[2] == ["unit", "e2e"]
    assert run(suites, "--quick", **more)[2] == ["unit"]
    assert run(suites, "--only", "long", **more)[2] == ["long"]
    assert run(suites, "--only", "none", **more)[::2] == (2, [])
    assert run(suites, "--list", **more)[2] == []


# ---- reports of the suites ----


@pytest.mark.parametrize(
    "text, counts",
    [
        ('<testsuite tests="5" failures="1" errors="1" skipped="1"/>', (2, 2, 1)),
        ('<testsuite tests="5" failures="0" skipped="0" disabled="2"/>', (3, 0, 2)),
        ('<testsuites><testsuite tests="2" failures="0"/><testsuite tests="3" errors="1"/></testsuites>', (4, 1, 0)),
        ("", (0, 1, 0)),
        (None, (0, 1, 0)),
    ],
)
def test_a_report_is_counted_and_a_missing_one_is_a_failure(runner, tmp_path, text, counts):
    report = tmp_path / "report.xml"
    if text is not None:
        report.write_text(text)
    assert runner.junit(str(report)) == counts


def test_a_runner_that_dies_after_good_tests_is_a_failure(runner, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "call", lambda command, **_: 139)
    (tmp_path / "e2e.xml").write_text('<testsuite tests="5" failures="0"/>')
    assert runner.pytest(str(tmp_path), "e2e", []) == (5, 1, 0)
    assert runner.ctest(str(tmp_path), str(tmp_path), "e2e", []) == (5, 1, 0)


# ---- layout of the sources is part of the tests (TS-007) ----


def test_structure_and_layout_are_a_suite_of_every_run(runner, monkeypatch):
    called = []
    monkeypatch.setattr(runner, "call", lambda command, **_: called.append(command) or 0)
    sanitized = runner.suites(runner.ROOT + "/build/asan", "reports")[0]
    assert sanitized.run() == (1, 0, 0)  # the inventory is that of the release build
    called.clear()
    layers = runner.suites(runner.ROOT + "/build", "reports")[0]
    assert layers.default and layers.quick and layers.run() == (2, 0, 0)
    assert ["scripts/lint", "--fast"] in called
    monkeypatch.setattr(runner, "call", lambda command, **_: 1)
    assert layers.run() == (0, 2, 0)


@pytest.fixture
def tree(tmp_path):
    """A small repository with lint and fake checkers that pass."""
    for folder in ("scripts", "tools", "src"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scripts" / "lint").write_bytes((ROOT / "scripts" / "lint").read_bytes())
    (tmp_path / ".clang-format").write_bytes((ROOT / ".clang-format").read_bytes())
    for tool in ("check-layers", "check-requirements"):
        (tmp_path / "tools" / tool).write_text("#!/bin/sh\nexit ${FAKE_CHECK:-0}\n")
        (tmp_path / "tools" / tool).chmod(0o755)
    (tmp_path / "src" / "a.c").write_text("int a(void)\n{\n    return 1;\n}\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "add", "src"], cwd=tmp_path, check=True)
    return tmp_path


def lint(tree, **env):
    return subprocess.run(["bash", "scripts/lint", "--fast"], cwd=tree, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)


def test_lint_finds_a_breach_of_floors(tree):
    assert lint(tree).returncode == 0
    assert lint(tree, FAKE_CHECK="1").returncode == 1


def test_lint_finds_a_file_that_is_laid_out_otherwise(tree):
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    (tree / "src" / "a.c").write_text("int a(void) {\n  return 1; }\n")
    r = lint(tree)
    if " 14." in version:
        assert r.returncode == 1 and "src/a.c" in r.stderr
    else:
        assert r.returncode == 0 and "LAYOUT IS NOT CHECKED" in r.stdout


def test_lint_says_when_another_clang_format_is_there(tree):
    (tree / "bin").mkdir()
    other = tree / "bin" / "clang-format"
    other.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "clang-format version 19.1.0" || exit 1\n')
    other.chmod(0o755)
    r = lint(tree, PATH=f"{tree / 'bin'}:{os.environ['PATH']}")
    assert r.returncode == 0 and "clang-format 19, not 14: LAYOUT IS NOT CHECKED" in r.stdout

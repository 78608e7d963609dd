"""tools/check-requirements: the real table holds, and each way of being untrue is named."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "check-requirements"
TABLE = ROOT / "docs" / "requirements.md"
CODE = "tools/check-requirements"
TEST = "test/tools/test_check_requirements.py"


def run_tool(*arguments):
    return subprocess.run([sys.executable, str(TOOL), *map(str, arguments)],
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(name="copy")
def fixture_copy(tmp_path):
    """A copy of the real table; its paths are still looked up in the real tree."""
    path = tmp_path / "requirements.md"
    path.write_text(TABLE.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def row_of(path, name):
    rows = [line for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith(f"| {name} |")]
    assert len(rows) == 1, f"{name} stands {len(rows)} times in {path}"
    return rows[0]


def replace_row(path, name, *lines):
    """Puts `lines` in the place of the row of `name`."""
    old = row_of(path, name) + "\n"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, "".join(line + "\n" for line in lines)), encoding="utf-8")


def row(name, state="later", code="-", test="-"):
    return f"| {name} | some reading of it | {code} | {test} | {state} |"


def assert_only_fault(path, name, *words):
    """The check fails with exactly one fault, which names the id and holds the words."""
    result = run_tool("--file", path)
    faults = result.stderr.splitlines()
    assert result.returncode == 1
    assert len(faults) == 1, result.stderr
    assert re.search(rf"requirements\.md(:\d+)?: {re.escape(name)}: ", faults[0]), faults[0]
    for word in words:
        assert word in faults[0]


def test_real_table_passes_with_all_ids_counted():
    result = run_tool()
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = re.findall(r"^ *(\d+) (.+)$", result.stdout, re.M)
    counts = {state: int(count) for count, state in lines}
    total = counts.pop("rows in all")
    # 311 ids of the specification, three of them twice; 9 stories, 9 edge cases, 18 STRIDE items.
    assert total == 311 + 3 + 9 + 9 + 18
    assert sum(counts.values()) == total


def test_untouched_copy_passes(copy):
    assert run_tool("--file", copy).returncode == 0


@pytest.mark.parametrize("name", ["US1", "EDGE-9", "FR-001", "NFR-026s", "STRIDE-I3", "DO-008a",
                                  "SC-015"])
def test_missing_row_is_named(copy, name):
    replace_row(copy, name)
    assert_only_fault(copy, name, "missing")


def test_double_row_is_named_with_the_line_of_the_first(copy):
    line = row_of(copy, "DP-022")
    number = copy.read_text(encoding="utf-8").splitlines().index(line) + 1
    replace_row(copy, "DP-022", line, line)
    assert_only_fault(copy, "DP-022", "double", f"line {number}")


@pytest.mark.parametrize("name", ["FR-029", "FR-1", "NFR-025", "DO-008b", "XX-001"])
def test_unknown_id_is_named(copy, name):
    replace_row(copy, "FR-028", row_of(copy, "FR-028"), row(name))
    assert_only_fault(copy, name, "unknown")


@pytest.mark.parametrize("state", ["", "Done", "planned", "planned in issue 5 of 4", "not ours",
                                   "not ours: ", "later, perhaps"])
def test_malformed_state_is_named(copy, state):
    replace_row(copy, "TS-004", row("TS-004", state))
    assert_only_fault(copy, "TS-004", "state", "expected")


@pytest.mark.parametrize("column", ["code", "test"])
def test_dead_path_is_named(copy, column):
    cells = {"code": f"`{CODE}`", "test": f"`{TEST}`", column: f"`{CODE}`, `src/no_such_file.c`"}
    replace_row(copy, "API-013", row("API-013", "done", **cells))
    assert_only_fault(copy, "API-013", column, "src/no_such_file.c", "does not exist")


def test_dead_path_is_named_in_a_row_that_is_not_done(copy):
    planned = row("API-013", "planned in issue 1 of 4", code="`src/no_such_file.c`")
    replace_row(copy, "API-013", planned)
    assert_only_fault(copy, "API-013", "src/no_such_file.c", "does not exist")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "src/../../outside"])
def test_path_outside_the_tree_is_refused(copy, path):
    replace_row(copy, "API-013", row("API-013", "later", code=f"`{path}`"))
    assert_only_fault(copy, "API-013", path, "relative")


@pytest.mark.parametrize("column", ["code", "test"])
def test_done_without_a_path_is_named(copy, column):
    cells = {"code": f"`{CODE}`", "test": f"`{TEST}`", column: "-"}
    replace_row(copy, "FR-001", row("FR-001", "done", **cells))
    assert_only_fault(copy, "FR-001", f"done without a {column} path")


def test_path_without_backticks_is_named(copy):
    replace_row(copy, "FR-001", row("FR-001", "done", code=CODE, test=f"`{TEST}`"))
    assert_only_fault(copy, "FR-001", "code", CODE)


def test_row_without_meaning_is_named(copy):
    replace_row(copy, "FR-001", "| FR-001 | - | - | - | later |")
    assert_only_fault(copy, "FR-001", "no meaning")


def test_row_with_a_cell_too_few_is_named(copy):
    replace_row(copy, "FR-001", "| FR-001 | a reading | - | later |")
    result = run_tool("--file", copy)
    assert result.returncode == 1
    assert "FR-001: 4 cells, expected 5" in result.stderr


def test_absent_table_fails_with_its_name(tmp_path):
    result = run_tool("--file", tmp_path / "none.md")
    assert result.returncode == 1
    assert "none.md" in result.stderr


def test_mark_changes_that_row_alone(copy):
    before = copy.read_text(encoding="utf-8").splitlines()
    result = run_tool("--file", copy, "--mark", "DP-001", "done", f"{CODE},docs", TEST)
    assert result.returncode == 0, result.stderr
    after = copy.read_text(encoding="utf-8").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0][1].endswith(f"| `{CODE}`, `docs` | `{TEST}` | done |")
    assert changed[0][1].split("|")[2] == changed[0][0].split("|")[2]


@pytest.mark.parametrize("mark", [
    ("FR-099", "done", CODE, TEST),
    ("DP-001", "finished", CODE, TEST),
    ("DP-001", "done", "src/no_such_file.c", TEST),
    ("DP-001", "done", CODE, "-"),
    ("DP-001", "not ours: a | b", "-", "-"),
])
def test_mark_that_would_be_untrue_changes_nothing(copy, mark):
    before = copy.read_bytes()
    good = ("FR-001", "done", CODE, TEST)
    result = run_tool("--file", copy, "--mark", *good, "--mark", *mark)
    assert result.returncode == 1
    assert mark[0] in result.stderr
    assert copy.read_bytes() == before


def test_list_prints_the_ids_of_a_state(copy):
    assert run_tool("--file", copy, "--mark", "DP-001", "done", CODE, TEST).returncode == 0
    listed = run_tool("--file", copy, "--list", "done").stdout.splitlines()[0].split()
    text = copy.read_text(encoding="utf-8")
    assert "DP-001" in listed
    assert listed == re.findall(r"^\| (\S+) \|.*\| done \|$", text, re.M)

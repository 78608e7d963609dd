"""tools/wordnet-sample on the installed WordNet and on small folders of its kind."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "wordnet-sample"
WORDNET = Path("/usr/share/wordnet")
LINE = '00001740 03 n 02 living_thing 0 animate_thing(a) 0 000 | a thing that lives; "it grew"; "so there"  \n'


def run(*arguments):
    return subprocess.run(
        [str(TOOL), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def rows():
    # scripts/bootstrap installs wordnet-base: a machine without it fails here, it is not skipped.
    result = run()
    assert result.returncode == 0, result.stderr
    assert "117,659 of 117,659 synsets" in result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_all_synsets_are_there_once(rows):
    assert len(rows) == 117659
    assert len({row["id"] for row in rows}) == 117659
    assert Counter(row["metadata"]["pos"] for row in rows) == {
        "noun": 82115, "verb": 13767, "adjective": 18156, "adverb": 3621,
    }  # fmt: skip


def test_every_category_occurs(rows):
    categories = Counter(row["metadata"]["category"] for row in rows)
    assert len(categories) == 45
    assert categories["noun.animal"] == 7509
    assert categories["verb.weather"] == 81


def test_rows_are_complete(rows):
    for row in rows:
        metadata = row["metadata"]
        assert row["text"] and metadata["words"] and all(metadata["words"])
        assert metadata["definition"] and row["text"].startswith(metadata["definition"][:20])
        assert not any("_" in word for word in metadata["words"])
        assert len(row["text"].encode()) <= 65536


def test_fields_of_a_known_synset(rows):
    entity = rows[0]
    assert entity["id"] == "n-00001740"
    assert entity["metadata"] == {
        "pos": "noun",
        "category": "noun.Tops",
        "words": ["entity"],
        "definition": entity["text"],
        "examples": [],
    }


def test_text_format_is_the_glosses(rows):
    result = run("--format", "text", "--limit", "100")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [row["text"] for row in rows[:100]]


def test_output_file_is_written_whole(tmp_path):
    target = tmp_path / "sample.jsonl"
    assert run("-o", target, "--limit", "10").returncode == 0
    assert len(target.read_text(encoding="utf-8").splitlines()) == 10
    assert os.listdir(tmp_path) == ["sample.jsonl"]


def test_closed_pipe_is_no_error():
    result = subprocess.run(
        f"set -o pipefail; '{TOOL}' | head -n 1", shell=True, executable="/bin/bash",
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0
    assert result.stderr == ""


def test_missing_wordnet_names_the_package(tmp_path):
    result = run("--wordnet", tmp_path / "none")
    assert result.returncode == 1
    assert "apt-get install wordnet-base" in result.stderr
    assert result.stdout == ""


def fake(folder, line):
    for kind in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{kind}").write_text("  1 the licence\n" + line)
    return folder


def test_gloss_is_split_into_definition_and_examples(tmp_path):
    result = run("--wordnet", fake(tmp_path, LINE), "--limit", "1")
    row = json.loads(result.stdout)
    assert row["text"] == 'a thing that lives; "it grew"; "so there"'
    assert row["metadata"]["definition"] == "a thing that lives"
    assert row["metadata"]["examples"] == ["it grew", "so there"]
    assert row["metadata"]["words"] == ["living thing", "animate thing"]


def test_wrong_count_is_another_wordnet(tmp_path):
    target = tmp_path / "out.jsonl"
    result = run("--wordnet", fake(tmp_path, LINE), "-o", target)
    assert result.returncode == 1
    assert "1 synsets; WordNet 3.0 has 82115" in result.stderr
    assert not target.exists()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "line",
    [
        "rubbish\n",
        LINE.replace(" | ", " "),
        LINE.replace(" 03 n", " 99 n"),
        LINE.replace(" n 02", " x 02"),
        LINE.replace(" 02 ", " zz "),
    ],
)
def test_damaged_line_is_named_by_place(tmp_path, line):
    result = run("--wordnet", fake(tmp_path, line))
    assert result.returncode == 1
    assert "data.noun:2:" in result.stderr


@pytest.mark.parametrize("limit", ["0", "-1", "117660", "many"])
def test_limit_out_of_range_is_wrong_usage(limit):
    result = run("--limit", limit)
    assert result.returncode == 2
    assert "1 to 117659" in result.stderr

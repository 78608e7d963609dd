"""The terms and whose they are (LBC-002, LBC-005)."""

import hashlib
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_licence_is_the_unmodified_text_of_apache_2_0():
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # of apache.org/licenses/LICENSE-2.0.txt


def test_the_notice_names_the_owners_of_the_copyright():
    notice = (ROOT / "NOTICE").read_text()
    assert re.search(r"^Copyright 20\d\d The JadeVectorDB authors$", notice, re.M) and "Apache License, Version 2.0" in notice
    assert '"The JadeVectorDB authors" ([NOTICE](NOTICE))' in (ROOT / "CONTRIBUTING.md").read_text()
    assert "](NOTICE)" in (ROOT / "README.md").read_text()


def test_no_file_claims_another_owner():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    files = [ROOT / name for name in listed if name not in ("LICENSE", "NOTICE") and (ROOT / name).is_file()]
    texts = {p: p.read_text(errors="replace") for p in files}
    assert len(texts) > 200
    claims = {str(p): line for p, text in texts.items() for line in text.splitlines() if re.match(r"\W*(copyright|\(c\)) (\(c\) )?\d{4}", line, re.I)}
    assert not claims

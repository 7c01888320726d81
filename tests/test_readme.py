"""The README says what the records say, and its commands exist."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("readme", ROOT / "tools/readme.py")
readme = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme)


def test_tables_are_those_of_the_records():
    found = []
    for page in readme.PAGES:
        text = page.read_text()
        names = re.findall(r"<!-- table:begin data/results/([\w-]+) -->", text)
        for name in names:
            assert readme.with_table(text, name, readme.readme_table(ROOT / "data/results" / name)) == text
        found += names
    assert "smoke" in found


def test_a_changed_record_changes_the_table(tmp_path):
    for file in (ROOT / "data/results/smoke").glob("*.json"):
        (tmp_path / file.name).write_text(re.sub(r'("mean": )[\d.]+', r"\g<1>0.5", file.read_text(), count=1))
    assert readme.readme_table(tmp_path) != readme.readme_table(ROOT / "data/results/smoke")


def test_make_targets_and_linked_files_exist():
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.M))
    assert named
    assert named <= targets
    for link in re.findall(r"\]\(([^):]+)\)", text):
        assert (ROOT / link).exists(), link


def test_the_python_of_the_first_screen_runs_and_says_what_it_says(capsys):
    text = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert text.index(code) < text.index("## ")  # before anything else
    assert len([line for line in code.splitlines() if line and not line.startswith("from")]) <= 10
    exec(compile(code, "README.md", "exec"), {})
    (promised,) = re.findall(r"torch\.Size\(.*?\)", code)
    assert capsys.readouterr().out.strip() == promised

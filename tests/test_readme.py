"""The README says what the records say, and its commands exist."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import faceinpaint

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
            assert readme.between(text, readme.MARKS, name, readme.readme_table(ROOT / "data/results" / name)) == text
        found += names
    assert "smoke" in found


def test_what_came_out_stands_before_the_tables_and_is_that_of_the_records():
    text = (ROOT / "README.md").read_text()
    (name,) = re.findall(r"<!-- answer:begin data/results/([\w-]+) -->", text)
    assert readme.between(text, readme.ANSWER, name, readme.answer(ROOT / "data/results" / name)) == text
    assert (
        text.index("```python") < text.index("make reproduce") < text.index("answer:begin") < text.index("table:begin")
    )


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


def test_the_readme_is_readable_on_an_index_and_the_model_card_on_a_hub():
    text = (ROOT / "README.md").read_text()
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    raw = base.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert pictures
    for picture in pictures:
        assert picture.startswith(raw), f"{picture} shows nothing outside the repository"
        assert (ROOT / picture.removeprefix(raw)).exists()
    _, head, _ = (ROOT / "data/weights/README.md").read_text().split("---\n", 2)
    assert {"license", "library_name", "pipeline_tag", "tags"} <= yaml.safe_load(head).keys()


def test_the_version_and_the_address_are_said_alike():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == faceinpaint.__version__
    assert cited["repository-code"] == about["urls"]["Repository"]
    assert cited["date-released"]
    assert about["dynamic"] == ["version"]


def test_workflows_pin_their_actions_and_leave_no_credentials():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                if "uses" in step:
                    assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), f"{path.name}: {step['uses']}"
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
    for line in re.findall(r"uses: .*", "".join(p.read_text() for p in (ROOT / ".github/workflows").glob("*.yml"))):
        assert re.search(r" # v[\d.]+$", line), f"{line}: which version is that?"


def test_the_linter_says_the_same_beside_a_folder_that_building_leaves(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "books.py").write_text((ROOT / "tests" / "books.py").read_text())
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

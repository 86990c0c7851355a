"""promptfooconfig.yaml to questions.yaml: prints the questions."""

import sys
from pathlib import Path

import yaml

QUESTION = "query"  # the variable of the prompt that holds the question


def question(test):
    row = {"id": test["description"], "question": test["vars"][QUESTION]}
    for assertion in test.get("assert", []):
        kind, value = assertion["type"], assertion.get("value")
        if kind in ("contains", "icontains"):
            row.setdefault("must_contain", []).append(value)
        elif kind in ("contains-all", "icontains-all"):
            row.setdefault("must_contain", []).extend(value)
        elif kind in ("contains-any", "icontains-any"):
            row.setdefault("must_contain", []).append(value)  # one fact in any of these spellings
        elif kind in ("factuality", "similar", "context-recall"):
            row["reference"] = value
        elif kind == "is-refusal":
            row["answerable"] = False
        else:
            print(f"{row['id']}: {kind} is left out; see the table", file=sys.stderr)
    return row


tests = yaml.safe_load(Path("promptfooconfig.yaml").read_text())["tests"]
Path("questions.yaml").write_text(yaml.safe_dump([question(test) for test in tests], sort_keys=False))
print(f"{len(tests)} questions in questions.yaml")

"""Print the last run's JUnit file as Markdown, for the summary of a job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

JUNIT = Path("artifacts/junit.xml")
COLUMNS = ("kept", "broken", "not tried", "known broken", "skipped")


def main() -> None:
    """Print a table of the versions, one of the test files, and the failures."""
    if not JUNIT.exists():
        print("There is no result: the run ended before its first test. Its log says why.")
        return
    if 'tests="0"' in JUNIT.read_text():
        print("No test ran: the run ended before its first one. Its log says why.")
        return
    suite = ET.parse(JUNIT).getroot().find("testsuite")
    assert suite is not None, f"{JUNIT} has no testsuite"
    print("| " + " | ".join(each.attrib["name"] for each in suite.iter("property")) + " |")
    print("|" + "---|" * len(list(suite.iter("property"))))
    print("| " + " | ".join(each.attrib["value"] for each in suite.iter("property")) + " |\n")
    cases = list(suite.iter("testcase"))
    counts: dict[str, Counter[str]] = {case.attrib["classname"]: Counter() for case in cases}
    for case in cases:
        counts[case.attrib["classname"]][_became(case)] += 1
    print(f"| tests | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, of in counts.items():
        print(f"| {name.rsplit('.', 1)[-1]} | {' | '.join(str(of[column]) for column in COLUMNS)} |")
    for case in cases:
        if _became(case) in ("broken", "not tried", "skipped"):
            print(f"\n- **{case.attrib['name']}**: {_became(case)}")


def _became(case: ET.Element) -> str:
    """Say what became of a row."""
    error = case.find("error")
    if error is not None:
        return "broken" if "teardown" in error.get("message", "") else "not tried"
    if case.find("failure") is not None:
        return "broken"
    skipped = case.find("skipped")
    if skipped is None:
        return "kept"
    return "known broken" if skipped.get("type") == "pytest.xfail" else "skipped"


if __name__ == "__main__":
    main()

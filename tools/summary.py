"""Print the last run's JUnit file as Markdown, for the summary of a job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

JUNIT = Path("artifacts/junit.xml")


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
    broken = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    ran, failed = (Counter(case.attrib["classname"] for case in some) for some in (cases, broken))
    print("| tests | kept | broken |\n|---|---|---|")
    for name in ran:
        print(f"| {name.rsplit('.', 1)[-1]} | {ran[name] - failed[name]} | {failed[name]} |")
    for case in broken:
        print(f"\n- **{case.attrib['name']}**")


if __name__ == "__main__":
    main()

"""Where the fixtures are: `pytest --fixtures` tells what each gives."""

pytest_plugins = [
    "fixtures.options",
    "fixtures.testbed",
    "fixtures.scenario",
    "fixtures.order",
    "fixtures.posture",
    "fixtures.evidence",
    "fixtures.faults",
    "fixtures.promises",
]

"""What all tests in the booted systemd share. They run inside it: see run.sh."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

from service import Service  # noqa: E402


def pytest_configure(config):
    with open("/proc/1/comm", encoding="ascii") as file:
        if file.read() != "systemd\n" or not os.path.isdir("/opt/handover-test"):
            raise pytest.UsageError("these tests run inside a systemd that is booted for them: make test-systemd")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call" and report.failed:
        for service in item.stash.get(SERVICES, []):
            report.sections.append((f"journal of {service.name}", service.log[-20000:]))


def pytest_terminal_summary(terminalreporter):
    reports = [r for reports in terminalreporter.stats.values() for r in reports]
    for report in reports:
        for name, text in getattr(report, "user_properties", ()):
            if name == "load" and report.when == "call":
                terminalreporter.line(text)
    not_run = [r for r in terminalreporter.stats.get("skipped", []) if "NOT RUN" in str(r.longrepr)]
    if not_run:
        terminalreporter.section(f"{len(not_run)} TESTS WERE NOT RUN", sep="!", red=True)
        for report in not_run:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2]}")


SERVICES = pytest.StashKey()


@pytest.fixture(name="service")
def fixture_service(request):
    """Makes services: service() is one that is not started yet. What is left of them ends with the test, and an end that
    is not as it must be is an error of the test."""
    services = []
    request.node.stash[SERVICES] = services

    def make(name=None):
        services.append(Service(name))
        return services[-1]
    yield make
    problems = [problem for service in reversed(services) for problem in service.end()]
    assert not problems, "\n".join(problems)

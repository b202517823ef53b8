"""What all tests of this folder share: instances, small workers, time limits, and tests that need root."""
import fcntl
import os
import signal
import subprocess

os.environ.setdefault("BUILD", "build/" + os.environ.get("VARIANT", "plain"))  # before cli_tools looks

import pytest  # noqa: E402

import harness  # noqa: E402

TEST_SECONDS = 180 if harness.SANITIZED else 90


# Whoever runs this in the background of a script has it ignore SIGINT, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_root: cannot be run by an ordinary user")


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
        if item.get_closest_marker("needs_root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="NOT RUN: needs root"))


def tell_loads(terminalreporter):
    """What the load tests measured: a stall must not hide behind "0 failed"."""
    told = [text for reports in terminalreporter.stats.values() for report in reports
            for name, text in getattr(report, "user_properties", ()) if name == "load" and report.when == "call"]
    if told:
        terminalreporter.section("load")
        for text in told:
            terminalreporter.line(text)


def pytest_terminal_summary(terminalreporter):
    tell_loads(terminalreporter)
    not_run = [r for r in terminalreporter.stats.get("skipped", []) if "NOT RUN" in str(r.longrepr)]
    if not_run:
        terminalreporter.section(f"{len(not_run)} TESTS WERE NOT RUN", sep="!", red=True)
        for report in not_run:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2]}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call" and report.failed:
        for instance in item.stash.get(INSTANCES, []):
            report.sections.append((f"log of {instance.name}", instance.log[-20000:]))


INSTANCES = pytest.StashKey()


def build_step_worker():
    """Compiled here, and once only: several runs may be at it."""
    source = os.path.join(harness.ROOT, "tests/workers/step-worker.c")
    with open(harness.STEP_WORKER + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(harness.STEP_WORKER) and os.path.getmtime(harness.STEP_WORKER) > os.path.getmtime(source):
            return
        subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-o",
                        harness.STEP_WORKER + ".new", source, "-ljansson"], check=True)
        os.rename(harness.STEP_WORKER + ".new", harness.STEP_WORKER)


@pytest.fixture(scope="session", autouse=True)
def fixture_programs():
    for program in (harness.HANDOVERD, harness.RPC_WORKER, harness.RPC_LOAD):
        assert os.path.exists(program), f"{program} is missing: run make programs tools"
    build_step_worker()


@pytest.fixture(name="handover")
def fixture_handover(request):
    """Makes instances: handover() is one that is not started yet. What is left of them ends with the test, and an end
    that is not as it must be is an error of the test."""
    instances = []
    request.node.stash[INSTANCES] = instances

    def make(name=None):
        instances.append(harness.Handover(name))
        return instances[-1]
    yield make
    problems = [problem for instance in reversed(instances) for problem in instance.end()]
    assert not problems, "\n".join(problems)

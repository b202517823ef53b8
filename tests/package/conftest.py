"""These tests run in a booted systemd in which nothing is installed yet: see run.sh."""
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../systemd"), os.path.join(HERE, "../integration")]

# the same fixtures as for services
spec = importlib.util.spec_from_file_location("systemd_conftest", os.path.join(HERE, "../systemd/conftest.py"))
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
pytest_configure = shared.pytest_configure
pytest_runtest_makereport = shared.pytest_runtest_makereport
pytest_terminal_summary = shared.pytest_terminal_summary
fixture_service = shared.fixture_service

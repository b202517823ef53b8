"""The instances and programs of the integration tests, for real servers. Nothing is skipped here: a server that is not
installed fails its tests (packaging/install-deps servers)."""
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../integration"), os.path.join(HERE, "../grpc")]

spec = importlib.util.spec_from_file_location("integration_conftest", os.path.join(HERE, "../integration/conftest.py"))
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
pytest_configure = shared.pytest_configure
pytest_collection_modifyitems = shared.pytest_collection_modifyitems
pytest_terminal_summary = shared.pytest_terminal_summary
pytest_runtest_makereport = shared.pytest_runtest_makereport
fixture_programs = shared.fixture_programs
fixture_handover = shared.fixture_handover

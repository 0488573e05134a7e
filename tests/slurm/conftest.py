"""The cluster that the tests of this folder share, and a plain word at the end where there is none."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import cluster

MISSING = []
signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is stopped stops its cluster, too


@pytest.fixture(scope="session")
def slurm():
    """A running cluster; tests are skipped where it cannot be started, and the end of the output says so."""
    try:
        cluster.start()
    except cluster.Unavailable as reason:
        MISSING.append(str(reason))
        pytest.skip(f"no Slurm: {reason}")
    yield cluster
    cluster.stop()


@pytest.fixture
def idle(slurm):
    """The cluster with all its daemons and nodes at work and no job in it."""
    jobs = slurm.answer("squeue", "--noheader", "--format=%A").split()
    if jobs:
        slurm.answer("scancel", *jobs)
    if "slurmctld" not in slurm.recorded():
        slurm.start_controller()
    for name in slurm.NODES:
        if name not in slurm.recorded():
            slurm.start_node(name)
        if "drain" in slurm.answer("sinfo", "--noheader", f"--nodes={name}", "--format=%T"):
            slurm.answer("scontrol", "update", f"nodename={name}", "state=resume")
    slurm.wait_for(lambda: slurm.ready() and not slurm.answer("squeue", "--noheader"), 60, "an idle cluster")
    return slurm


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.section("NOTHING RAN ON SLURM", sep="!", red=True, bold=True)
        terminalreporter.line(f"{MISSING[0]}. As root on Debian or Ubuntu `make test-slurm` installs it.")

"""A real Slurm on this one machine, with simulated nodes, for tests: python tests/slurm/cluster.py start|stop

For root on Debian or Ubuntu; needs neither systemd nor cgroups. Programs that are missing are installed with apt-get. The
nodes share this machine: CPUs and memory that they announce are pretended, memory limits of jobs are enforced by polling.
There is no accounting database, the harder case for Snakemake. The configuration lies in /etc/slurm, the only place where
the plugin's job steps look for it; it is never written over one of somebody else.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

MARK = "# Written by cisgrammar's tests/slurm/cluster.py, which removes it when it stops.\n"
CONFIGURATION = Path("/etc/slurm/slurm.conf")
FOLDER = Path("/var/tmp/cisgrammar-slurm")
PORT = 6917
NODES = ("node1", "node2", "node3")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
SETTINGS = """\
ClusterName=cisgrammar
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=300
ReturnToService=2
SlurmdTimeout=15
SlurmctldTimeout=30
KillWait=3
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=2
SlurmdParameters=config_overrides
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


class Unavailable(Exception):
    """Slurm cannot be started here; the message says why."""


def answer(*command, timeout=20):
    """What a Slurm command prints; '' when it fails or does not answer in time."""
    environment = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def wait_for(condition, seconds, what):
    """Value of `condition()` as soon as it is true; TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def began(pid):
    """When a process started, in ticks since boot, to tell it from a later one of the same number; None once ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def recorded():
    path = FOLDER / "processes.json"
    return json.loads(path.read_text()) if path.exists() else {}


def record(processes):
    (FOLDER / "processes.json").write_text(json.dumps(processes))


def launch(name, *command):
    """Start a daemon in the foreground of a session of its own, and remember its process."""
    with open(FOLDER / f"{name}.out", "ab") as log:
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"},
        )
    record({**recorded(), name: [daemon.pid, began(daemon.pid)]})


def end(name, how=signal.SIGTERM):
    """End a daemon that `launch` started; by SIGKILL when it does not go in 15 s."""
    processes = recorded()
    pid, start = processes.pop(name)
    if began(pid) == start:
        os.kill(pid, how)
        try:
            wait_for(lambda: reaped(pid) or began(pid) != start, 15, name)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: reaped(pid) or began(pid) != start, 5, name)
    record(processes)


def reaped(pid):
    """Collect a child of this process that has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def install():
    missing = [program for program in PROGRAMS if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(missing)} missing, and there is no apt-get to install them with")
    print("Installing slurm-wlm and munge with apt-get", flush=True)
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "capture_output": True, "text": True}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "slurm-wlm", "munge"],
    ):
        try:
            done = subprocess.run(command, timeout=600, **quiet)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"`{' '.join(command)}` did not end within 10 minutes") from error
        if done.returncode:
            raise Unavailable(f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")


def start_munge():
    if answer("munge", "-n", timeout=5):
        return
    for path, mode in (
        ("/etc/munge", 0o700),
        ("/var/lib/munge", 0o700),
        ("/var/log/munge", 0o700),
        ("/run/munge", 0o755),
    ):
        Path(path).mkdir(parents=True, exist_ok=True)
        shutil.chown(path, "munge", "munge")
        Path(path).chmod(mode)
    key = Path("/etc/munge/munge.key")
    if not key.exists() or not key.stat().st_size:
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        shutil.chown(key, "munge", "munge")
    launch("munged", "setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--foreground", "--force")
    wait_for(lambda: answer("munge", "-n", timeout=5), 20, "munged")


def start_controller():
    launch("slurmctld", "slurmctld", "-D")
    wait_for(lambda: "UP" in answer("scontrol", "ping", timeout=5), 30, "slurmctld")


def start_node(name):
    (FOLDER / name).mkdir(exist_ok=True)
    launch(name, "slurmd", "-D", "-N", name)


def ready():
    """Whether every node takes jobs."""
    states = answer("sinfo", "--noheader", "--Node", "--format=%T", timeout=5).split()
    return bool(states) and all(state in ("idle", "mixed", "allocated", "completing") for state in states)


def start():
    """Start the cluster from nothing; raises Unavailable where that cannot be done."""
    if os.geteuid():
        raise Unavailable("only root can install and start Slurm")
    os.environ.pop("SLURM_CONF", None)
    install()
    if CONFIGURATION.exists() and not CONFIGURATION.read_text().startswith(MARK):
        raise Unavailable(f"{CONFIGURATION} belongs to another Slurm")
    stop()
    (FOLDER / "state").mkdir(parents=True)
    CONFIGURATION.parent.mkdir(exist_ok=True)
    host = socket.gethostname().split(".")[0]
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + 1 + i} CPUs=8 RealMemory=32000"
        for i, name in enumerate(NODES)
    )
    CONFIGURATION.write_text(MARK + SETTINGS.format(host=host, port=PORT, folder=FOLDER, nodes=nodes))
    try:
        start_munge()
        start_controller()
        for name in NODES:
            start_node(name)
        wait_for(ready, 30, "the nodes")
    except (TimeoutError, OSError) as error:
        logs = [f"{path.name}: {path.read_text()[-500:]}" for path in [*FOLDER.glob("*.out"), *FOLDER.glob("*.log")]]
        stop()
        raise Unavailable(f"Slurm does not start: {error}\n" + "\n".join(logs)) from error


def stop():
    """Cancel all jobs, end what `start` started, and nothing else; does nothing when it started nothing."""
    if CONFIGURATION.exists() and CONFIGURATION.read_text().startswith(MARK):
        jobs = answer("squeue", "--noheader", "--format=%A", timeout=5).split()
        if jobs:
            answer("scancel", *jobs)
            try:
                wait_for(lambda: not answer("squeue", "--noheader", timeout=5), 15, "cancelled jobs")
            except TimeoutError:
                print("Some jobs did not end; their nodes are stopped with them", flush=True)
        CONFIGURATION.unlink()
    for name in reversed(recorded()):
        end(name)
    shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] not in (["start"], ["stop"]):
        sys.exit(__doc__)
    try:
        {"start": start, "stop": stop}[sys.argv[1]]()
    except Unavailable as reason:
        sys.exit(f"No Slurm: {reason}")
    print(answer("sinfo") if sys.argv[1] == "start" else "Slurm has stopped", end="\n")

"""The workflow on a real Slurm with the shipped profile: a run to the end, then one fault at a time in the midst of a job.

Every fault strikes while the script of a training job runs. Afterwards the weights are byte for byte those of an undisturbed
run, and no other result has been touched. Nothing here waits without a limit.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from cluster import answer, end, start_controller, start_node, wait_for
from running import typed

ROOT = Path(__file__).resolve().parents[2]
TRAINED = Path("results/training/erythroid/CTCF")
RUN = "snakemake --profile slurm --configfile config/mine.yaml --directory runs/mine"
QUICK = ["--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1", "--jobs", "4"]


class Driver:
    """Snakemake on the cluster, started by a command of the documents, but asking for the state of its jobs more often."""

    def __init__(self, folder, *arguments, watched=False, command=RUN):
        words = command.replace("config/mine.yaml", "tests/slurm/small.yaml").replace("runs/mine", str(folder)).split()
        assert words[0] == "snakemake"
        watch = [sys.executable, "slurm/watch.py", "--patience", "15"] if watched else []
        command = [*watch, sys.executable, "-m", *words, *QUICK]
        self.log = folder.with_name(f"{folder.name}.{time.monotonic_ns()}.log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @property
    def said(self):
        return self.log.read_text()

    def finish(self, seconds):
        """Exit code; a driver that takes longer is ended, and the test fails with what it said."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {seconds} s:\n{self.said[-4000:]}") from None

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def script_of(self, rule):
        """(Slurm's id, node, process) of the first job of a rule whose script is running."""

        def find():
            assert self.process.poll() is None, self.said[-4000:]
            for line in answer("squeue", "--noheader", "--states=RUNNING", "--format=%A|%N|%k").splitlines():
                job, node, comment = line.split("|")
                if comment.startswith(f"rule_{rule}_"):
                    for process in scripts(job):
                        return job, node, process
            return None

        return wait_for(find, 120, f"a running script of {rule}")


def scripts(job):
    """Processes that run a script of the workflow within a Slurm job."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURM_JOB_ID={job}".encode() in environment and any(b"/.snakemake/scripts/" in part for part in command):
            found.append(int(folder.name))
    return found


def contents(folder):
    """Bytes and times of all results but the trained network that the tests disturb."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
        if not path.relative_to(folder).is_relative_to(TRAINED)
    }


@pytest.fixture(scope="session")
def undisturbed(slurm, tmp_path_factory):
    """Folder of a run from nothing to the report through Slurm."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    driver = Driver(folder)
    assert driver.finish(900) == 0, driver.said[-4000:]
    folder.with_suffix(".log").write_text(driver.said)
    return folder


@pytest.fixture
def disturbed(undisturbed, idle, tmp_path):
    """Start a driver on a copy of the finished run that has lost one network; at the end it must be back, alone."""
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / TRAINED)
    before, drivers = contents(folder), []

    def start(*arguments, **more):
        target = str(TRAINED / "model.safetensors")
        drivers.append(Driver(folder, target, *arguments, **more))
        drivers[-1].folder = folder
        return drivers[-1]

    yield start
    for driver in drivers:
        if driver.process.poll() is None:
            driver.kill()
    assert contents(folder) == before
    for name in ("model.safetensors", "model.json"):
        assert (folder / TRAINED / name).read_bytes() == (undisturbed / TRAINED / name).read_bytes(), name


def test_whole_run(undisturbed):
    """All rules ran as Slurm jobs, the steps of a group as one, and left their results and logs, none of them empty."""
    summary = pd.read_csv(undisturbed / "results/summary.tsv", sep="\t")
    assert set(summary["model"]) == {"cnn", "transfer", "pwm", "kmers", "covariates"}
    assert set(summary["cell_type"]) == {"erythroid", "myeloid"}
    assert (undisturbed / "results/report.html").stat().st_size > 10**5
    said = undisturbed.with_suffix(".log").read_text()
    assert len(re.findall("has been submitted with SLURM jobid", said)) < len(re.findall("Finished jobid", said))
    assert "Trying to restart" not in said
    assert (undisturbed / "logs/train_model/erythroid/CTCF.log").stat().st_size > 0
    assert json.loads((undisturbed / TRAINED / "model.json").read_text())["device"] == "cpu"


def test_networks_of_one_job(undisturbed, idle, tmp_path):
    """Two of them, cancelled in the midst: the second attempt ends with the bytes that a job for each gave."""
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / "results/training")
    now = time.time()
    for path in folder.rglob("*"):
        os.utime(path, (now, now), follow_symlinks=False)  # no file of a chunk is newer than what another was made of
    weights = [f"results/training/{cell_type}/CTCF/model.safetensors" for cell_type in ("erythroid", "myeloid")]
    driver = Driver(folder, *weights, "--rerun-triggers", "mtime", "--config", "models_per_job=2")
    job, _, _ = driver.script_of("train_model")
    answer("scancel", job)
    assert driver.finish(180) == 0, driver.said
    assert len(set(re.findall(r"rule_train_model_0/(\d+)\.log", driver.said))) == 2, driver.said
    for path in weights:
        assert (folder / path).read_bytes() == (undisturbed / path).read_bytes(), path


def test_cancelled_job(disturbed):
    driver = disturbed()
    job, _, _ = driver.script_of("train_model")
    answer("scancel", job)
    assert driver.finish(120) == 0, driver.said
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in driver.said
    assert "Trying to restart" in driver.said


def test_too_little_memory(disturbed):
    """The first attempt is stopped by Slurm, the second has twice the memory."""
    driver = disturbed("--set-resources", "train_model:mem_mb=500 * attempt")
    assert driver.finish(180) == 0, driver.said
    assert re.search("SLURM status is: '(OUT_OF_MEMORY|FAILED)'", driver.said)
    assert "Trying to restart" in driver.said
    log = Path(re.search(r"has been submitted with SLURM jobid \d+ \(log: (.+?)\)", driver.said)[1])
    assert re.search("[Ee]xceeded (job )?memory limit", log.read_text()), log.read_text()


def test_too_little_time(disturbed):
    """A job that stands still until its time is up is sent again with twice the time."""
    driver = disturbed("--set-resources", "train_model:runtime=1 * attempt")
    job, _, process = driver.script_of("train_model")
    os.kill(process, signal.SIGSTOP)
    assert driver.finish(240) == 0, driver.said
    assert f"SLURM-job '{job}' failed, SLURM status is: 'TIMEOUT'" in driver.said


def test_drained_node(disturbed):
    """The job there comes to its end, none is lost."""
    driver = disturbed()
    _, node, _ = driver.script_of("train_model")
    answer("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    assert driver.finish(120) == 0, driver.said
    assert "Trying to restart" not in driver.said


def test_restarted_node_daemon(disturbed):
    """A job goes on while the daemon of its node is away for a moment."""
    driver = disturbed()
    _, node, process = driver.script_of("train_model")
    os.kill(process, signal.SIGSTOP)
    end(node, signal.SIGKILL)
    time.sleep(3)
    start_node(node)
    os.kill(process, signal.SIGCONT)
    assert driver.finish(120) == 0, driver.said
    assert "Trying to restart" not in driver.said


def test_lost_node(disturbed):
    """The daemon and the job of a node vanish: Slurm starts the job on another one, under the same id."""
    driver = disturbed()
    job, node, _ = driver.script_of("train_model")
    end(node, signal.SIGKILL)
    for pid in of_job(job):
        os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: "down" in answer("sinfo", "--noheader", f"--nodes={node}", "--format=%T"), 90, "a node that is down"
    )
    wait_for(
        lambda: answer("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip() == "PENDING", 60, "requeued"
    )
    answer("scontrol", "update", f"jobid={job}", "starttime=now")  # Slurm would wait two minutes
    assert driver.finish(180) == 0, driver.said
    assert "Trying to restart" not in driver.said


def of_job(job):
    """All processes of a Slurm job, its supervisor included."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"SLURM_JOB_ID={job}".encode() in environment or command.startswith(f"slurmstepd: [{job}.".encode()):
            found.append(int(folder.name))
    return found


def test_restarted_controller(disturbed):
    """Questions wait for a controller that is away for a few seconds."""
    driver = disturbed()
    driver.script_of("train_model")
    end("slurmctld")
    time.sleep(5)
    start_controller()
    assert driver.finish(180) == 0, driver.said
    assert "Trying to restart" not in driver.said


def test_controller_away(disturbed):
    """Away for longer than a question waits: Snakemake forgets its job and falls silent, the watch starts it again."""
    driver = disturbed("--slurm-status-attempts", "5", watched=True)
    _, _, process = driver.script_of("train_model")
    os.kill(process, signal.SIGSTOP)
    end("slurmctld")
    time.sleep(30)
    start_controller()
    os.kill(process, signal.SIGCONT)
    assert driver.finish(240) == 0, driver.said
    assert "lost sight of its jobs" in driver.said
    assert "Nothing to be done" in driver.said


def test_killed_driver(disturbed):
    """What docs/cluster.md says to do by hand: the job goes on, and is waited for; then unlock, and start again."""
    driver = disturbed()
    job, _, _ = driver.script_of("train_model")
    typed("kill -9 <the silent Snakemake>", {"<the silent Snakemake>": driver.process.pid})
    driver.process.wait(10)
    refused = disturbed()
    assert refused.finish(60) == 1
    assert "Directory cannot be locked" in refused.said
    assert job in typed("squeue --me").split()
    wait_for(lambda: job not in typed("squeue --me").split(), 120, "the end of the job")
    unlock = "snakemake --profile slurm --configfile config/mine.yaml --directory runs/mine --unlock"
    assert disturbed(command=unlock).finish(60) == 0
    again = disturbed()
    assert again.finish(120) == 0, again.said
    assert "Nothing to be done" in again.said


def test_killed_driver_is_started_again(disturbed):
    """The same by the watch, without a hand."""
    driver = disturbed(watched=True)
    driver.script_of("train_model")
    (snakemake,) = [
        int(pid) for pid in Path(f"/proc/{driver.process.pid}/task/{driver.process.pid}/children").read_text().split()
    ]
    os.kill(snakemake, signal.SIGKILL)
    assert driver.finish(180) == 0, driver.said
    assert "unlocking and starting again" in driver.said
    assert "Nothing to be done" in driver.said


def test_in_parts(undisturbed, idle, tmp_path):
    """Motifs and scores are made again: half of each as a part of the plan, the rest by the last command."""
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    for stage in ("evaluation", "motifs"):
        shutil.rmtree(folder / "results" / stage)
    (folder / "results/summary.tsv").unlink()
    given = f"--configfile tests/slurm/small.yaml --directory {folder}"
    for command, part, stage in (  # what a table is made of begins with two files of code
        ("snakemake --profile slurm ... motifs --batch motifs=1/10", "1/2", "motifs"),
        ("snakemake --profile slurm ... evaluation --batch summarize_models=1/10", "3/4", "evaluation"),
    ):
        driver = Driver(folder, command=command.replace("...", given).replace("1/10", part))
        assert driver.finish(180) == 0, driver.said
        assert len(list(folder.glob(f"results/{stage}/*/CTCF/*.tsv"))) > 1
        assert len(list(folder.glob(f"results/{stage}/*/CTCF"))) == 1
    driver = Driver(folder, command="snakemake --profile slurm ...".replace("...", given))
    assert driver.finish(180) == 0, driver.said
    for name in (
        "results/summary.tsv",
        "results/motifs/erythroid/CTCF/matches.tsv",
        "results/motifs/myeloid/CTCF/matches.tsv",
    ):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_two_drivers_on_one_folder(disturbed):
    first = disturbed()
    first.script_of("train_model")
    second = disturbed()
    assert second.finish(60) == 1
    assert "Directory cannot be locked" in second.said
    assert first.finish(120) == 0, first.said

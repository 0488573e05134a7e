"""Start Snakemake on a cluster and start it again when it falls silent: python slurm/watch.py snakemake --profile slurm ...

Without an accounting database the Slurm plugin forgets its jobs when the controller is away as it asks for them, and then
waits forever, without a word (snakemake-executor-plugin-slurm 2.8.0, its issues 207 and 331). Here a run counts as silent
when Slurm answers, knows no unfinished job of it, and Snakemake has written nothing for a while. It is then ended, unlocked
and started again, and so is one that was killed, once its jobs have ended. Finished results are kept by Snakemake.
Give --patience SECONDS (of silence, 300 by default) before the word snakemake. Needs no package.
"""

import argparse
import re
import subprocess
import sys
import threading
import time

RESTARTS = 5


class Driver:
    """A running Snakemake: its output is passed on, and the time of the last line and the id of its run are kept."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1
        )
        self.run, self.heard = None, time.monotonic()
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()

    def listen(self):
        for line in self.process.stdout:
            self.heard = time.monotonic()
            found = re.search(r"SLURM run ID: (\S+)", line)
            self.run = found[1] if found else self.run
            sys.stdout.write(line)
            sys.stdout.flush()


def unfinished(run):
    """Number of jobs of a run that wait or work; None when Slurm does not answer."""
    command = ["squeue", "--noheader", "--format=%i", f"--name={run}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else len(done.stdout.split())


def say(text):
    print(f"watch: {text}", flush=True)


def watch(driver, patience):
    """Wait for the end of a driver; True when it ended by itself, False when it was killed or is silent."""
    while True:
        try:
            return driver.process.wait(min(10, patience)) >= 0
        except subprocess.TimeoutExpired:
            silent = time.monotonic() - driver.heard > patience
            if driver.run and silent and unfinished(driver.run) == 0:
                say(f"Slurm has no job left and Snakemake wrote nothing for {patience} s: it lost sight of its jobs")
                return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patience", type=int, default=300, help="seconds of silence")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="snakemake --profile slurm ...")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("give the command: snakemake --profile slurm ...")
    for restarts in range(RESTARTS + 1):
        driver = Driver(arguments.command)
        try:
            if watch(driver, arguments.patience):
                driver.reader.join(10)
                return driver.process.returncode
        except KeyboardInterrupt:
            return driver.process.wait()  # it got the signal, too, and cancels its jobs
        driver.process.kill()
        driver.process.wait()
        while driver.run and unfinished(driver.run) != 0:
            time.sleep(min(10, arguments.patience))
        if restarts < RESTARTS:
            say("unlocking and starting again")
            subprocess.run([*arguments.command, "--unlock"], check=False)
    say(f"stopped after {RESTARTS} restarts")
    return 1


if __name__ == "__main__":
    sys.exit(main())

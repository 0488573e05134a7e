"""Messages of a job: everything into its log file, errors also to the terminal, one line where a user can act on them."""

import logging
import os
import socket
import sys
import traceback
import warnings


class InputError(ValueError):
    """A problem that the user can mend; its message is one line with file, row, numbers and remedy."""


def start_log(path):
    """Send logging, warnings and errors of this process to the log file at `path`.

    An InputError is shown to the user as one line, in the log and on the terminal; any other error is shown
    as one line on the terminal and with its traceback in the log. The first line of the log names the machine.
    """
    logging.basicConfig(
        filename=path,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    job = os.environ.get("SLURM_JOB_ID")
    # Never empty: at the first empty log Snakemake stops to show what a failed job wrote, Slurm's log included.
    logging.info("Started on %s%s", socket.gethostname(), f", Slurm job {job}" if job else "")
    logging.captureWarnings(True)
    warnings.simplefilter("default")

    def show(kind, error, trace):
        line = " ".join(str(error).split())
        if isinstance(error, InputError):
            logging.error(line)
            print(f"Error: {line} [{path}]", file=sys.stderr)
        else:
            logging.error("".join(traceback.format_exception(kind, error, trace)))
            print(f"Error: {kind.__name__}: {line} [traceback in {path}]", file=sys.stderr)

    sys.excepthook = show

from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.chunks import run_all

same = {name: getattr(snakemake, name) for name in ("threads", "resources", "config")}
run_all(snakemake.input.script, [{**job, **same} for job in snakemake.params.jobs], "results/.finished")

from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.files import atomic

with atomic(snakemake.output[0]) as temporary, open(temporary, "w") as out:
    for number, path in enumerate(snakemake.input.metrics):
        with open(path) as table:
            header = table.readline()
            out.write(header * (number == 0) + table.read())

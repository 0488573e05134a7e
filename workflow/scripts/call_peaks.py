from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.files import read_json
from cisgrammar.peaks import call_peaks

size = snakemake.params.effective_genome_bp or read_json(snakemake.input.genome)["known_bp"]
files = read_json(snakemake.input.checked)
if replicate := snakemake.wildcards.get("replicate"):
    files = [entry for entry in files if entry["replicate"] == replicate]
call_peaks(files, size, snakemake.params.q_value, snakemake.params.macs3_options, snakemake.output[0])

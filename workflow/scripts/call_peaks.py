from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.files import read_json
from cisgrammar.peaks import call_peaks

size = snakemake.params.effective_genome_bp or read_json(snakemake.input.genome)["known_bp"]
files = read_json(snakemake.input.checked)
replicate, advice = snakemake.wildcards.get("replicate"), ""
if replicate:
    files = [entry for entry in files if entry["replicate"] == replicate]
    advice = ", or leave replicates together (peaks.compare_replicates: false)"
settings = snakemake.params
call_peaks(files, size, settings.q_value, settings.macs3_options, snakemake.output[0], advice)

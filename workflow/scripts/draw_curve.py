from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.curves import summarize
from cisgrammar.files import atomic, write_table
from cisgrammar.page import read_table
from cisgrammar.transfer_page import draw_curve

summary = summarize(read_table(snakemake.input.curve, ("negatives", "model", "choice")))
write_table(summary, snakemake.output.summary)
with atomic(snakemake.output.figure) as temporary:
    draw_curve(summary).savefig(temporary, format="svg", metadata={"Date": None})

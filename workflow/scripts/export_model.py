from cisgrammar.log import start_log

start_log(snakemake.log[0])
import logging

from cisgrammar.model import load_model
from cisgrammar.onnx_model import export_onnx

difference = export_onnx(*load_model(snakemake.input.weights, snakemake.input.description), snakemake.output[0])
logging.info("largest difference of logits: %.2g", difference)

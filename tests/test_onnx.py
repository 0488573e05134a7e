"""ONNX files score as the networks do, for every architecture that torch exports; a model's folder alone is enough."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar.architectures import ARCHITECTURES, build_network
from cisgrammar.log import InputError
from cisgrammar.model import load_model, save_model
from cisgrammar.predict import read_fasta, score_sequences

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"members": 2, "filters": 8, "filter_bp": 7, "hidden": 6}
REFUSED = {"dilated"}


def description(architecture, channels, position):
    built = {"architecture": architecture, "channels": channels, **SMALL}
    encoding = {"position_channel": position, "unknown": "zero", "centred": False}
    return {"network": built, "encoding": encoding, "window_bp": 60, "channels": [], "seed": 1}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_same_logits_or_a_word(architecture, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    from cisgrammar.onnx_model import export_onnx

    torch.manual_seed(0)
    position = architecture in ("detectors", "equivariant")
    told = description(architecture, 4 + position, position)
    network, path = build_network(**told["network"]).eval(), tmp_path / "model.onnx"
    if architecture in REFUSED:
        with pytest.raises(InputError, match=f"torch cannot export {architecture}; set export.onnx: false"):
            export_onnx(network, told, path)
        assert not path.exists()
        return
    assert export_onnx(network, told, path) <= 1e-5
    rows = np.zeros((1, 4, 60), dtype=np.float32)
    assert onnxruntime.InferenceSession(path).run(None, {"rows": rows})[0].shape == (1, 1)


def test_a_folder_is_enough_to_predict(tmp_path):
    """FASTA and BED score as in the package; what is missing is said in one line."""
    torch.manual_seed(0)
    told = description("detectors", 5, True)
    network = build_network(**told["network"]).eval()
    with torch.no_grad():
        network.head.weight.normal_()
    save_model(network, told, tmp_path / "model/model.safetensors", tmp_path / "model/model.json")
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 200))
    (tmp_path / "in.fa").write_text(f">one\n{bases[20:90]}\n")
    (tmp_path / "genome.fa").write_text(f">chr1\n{bases}\n")
    (tmp_path / "in.bed").write_text("chr1\t20\t90\tone\n")
    command = [sys.executable, str(ROOT / "workflow/scripts/predict.py"), "model"]

    def run(*arguments):
        return subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)

    ids, codes = read_fasta(tmp_path / "in.fa")
    loaded, _ = load_model(tmp_path / "model/model.safetensors", tmp_path / "model/model.json")
    rng = np.random.default_rng(told["seed"])
    expected = score_sequences(loaded, codes, 60, rng, None, told["encoding"])
    for arguments in (["in.fa"], ["in.bed", "--genome", "genome.fa"]):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        (tmp_path / "out.tsv").write_text(done.stdout)
        table = pd.read_csv(tmp_path / "out.tsv", sep="\t")
        assert table["id"].tolist() == ids and table["score"].to_numpy() == pytest.approx(expected, rel=1e-5)
    done = run("in.bed")
    assert done.returncode == 1 and done.stderr == "Error: in.bed: for regions give the genome, too (--genome FASTA)\n"

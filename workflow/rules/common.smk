# Reads and checks the configuration and the table of experiments; the few functions that rules share. Every job reads this
# file again, on a cluster twice: what is looked up for each experiment is looked up in a dict, and nothing large is imported.
import csv
import difflib
import gc
import os

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# A plan of thousands of jobs is millions of objects that stay: searching them for garbage again and again takes time.
gc.set_threshold(100_000, 20, 100)

# The modules that a network is built and loaded with.
NETWORKS = ("dna", "layers", "blocks", "pooling", "recurrent", "networks", "architectures", "model")
# Those that one is trained with.
ENGINE = (*NETWORKS, "sequences", "splits", "initialisation", "losses", "domains", "training", "engine")


def library(*modules):
    """Source files of cisgrammar modules; as an input they make an edited module run its users again."""
    return [workflow.source_path(f"../scripts/cisgrammar/{m}.py") for m in ("__init__", *modules)]


def grows(base, per_mb=0, files=""):
    """A resource that grows with each attempt and, where named, with the size in MB of the input `files` that are there.

    `input.size_mb` is unknown while any input is still to be made, which leaves the rule out of what its group asks for.
    """

    def amount(wildcards, input, attempt):
        paths = input.get(files, [])
        paths = [paths] if isinstance(paths, str) else paths
        size_mb = sum(os.path.getsize(path) for path in paths if os.path.exists(path)) / 1e6
        return int((base + per_mb * size_mb) * attempt)

    return amount


def load_schema(name):
    with open(workflow.source_path(f"../schemas/{name}.schema.yaml")) as handle:
        return yaml.safe_load(handle)


def check(data, schema, place):
    """Stop with one line for the first value that the schema refuses."""
    for error in jsonschema.Draft202012Validator(schema).iter_errors(data):
        key = ".".join(map(str, error.absolute_path))
        message = error.message
        if error.validator == "additionalProperties":
            known = list(error.schema.get("properties", {}))
            unknown = next(k for k in error.instance if k not in known)
            near = difflib.get_close_matches(str(unknown), known, 1)
            key = f"{key}.{unknown}".strip(".")
            message = f"no such setting; {f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(known)}"
        raise WorkflowError(f"{place}: {key or 'top level'}: {message}")


def local_path(location):
    """Absolute path of a file named in the configuration; relative ones start from the folder of the Snakefile.

    URLs stay as they are, and so do the files that the workflow simulates, which lie in the run's own folder.
    """
    if "://" in location or location.startswith("resources/simulation/"):
        return location
    return os.path.normpath(os.path.join(workflow.basedir, os.path.expanduser(location)))


def local_copy(location, *names):
    """The file `location`, or its copy in the folder `mirror`: the first of `names` that is there."""
    if config["mirror"] and "://" in location:
        copies = [os.path.join(local_path(config["mirror"]), name) for name in names]
        there = [copy for copy in copies if os.path.exists(copy)]
        if not there:
            raise WorkflowError(f"mirror: none of {', '.join(copies)} is there, which would stand in for {location}")
        return there[0]
    return local_path(location)


def read_samples(path):
    """The table of experiments as a dict from (cell type, TF) to its rows, a dict per replicate, in the table's order.

    Stops with file, row and remedy when it is not sound.

    Jobs on a cluster, each of which reads the table again, take what the first process has checked.
    """
    if not os.path.exists(path):
        raise WorkflowError(f"{path}: the table of the experiments is missing; correct `samples` in the configuration")
    with open(path, encoding="utf-8-sig", newline="") as handle:
        lines = [[cell.strip() for cell in line] for line in csv.reader(handle, delimiter="\t")]
    header, table, places = lines[0] if lines else [], {}, {}
    for number, line in enumerate(lines[1:], 2):
        if not any(line) or line[0].startswith("#"):
            continue
        place = f"{path}, row {number}"
        if len(line) > len(header):
            raise WorkflowError(
                f"{place}: {len(line)} cells, but the header names {len(header)} columns; mend the tabs"
            )
        row = {name: cell for name, cell in zip(header, line) if cell not in NO_VALUE}
        if workflow.is_main_process:
            check(row, SAMPLE_SCHEMA, place)
        row = {**dict.fromkeys(SAMPLE_SCHEMA["properties"], ""), "replicate": "1", **row}
        key = (row["cell_type"], row["tf"], row["replicate"])
        if key in places:
            raise WorkflowError(
                f"{place}: {', '.join(key)} is there already ({places[key]}); give it its own replicate"
            )
        places[key] = place
        if bool(row["treatment"]) == bool(row["peaks"]):
            raise WorkflowError(f"{place}: give either a treatment (reads) or peaks, not both and not neither")
        if row["control"] and not row["treatment"]:
            raise WorkflowError(f"{place}: a control without a treatment; add the treatment or remove the control")
        rows = table.setdefault(key[:2], [])
        if rows and bool(rows[0]["peaks"]) != bool(row["peaks"]):
            raise WorkflowError(f"{path}: {key[0]}, {key[1]} has rows with reads and rows with peaks; keep one kind")
        if row["genome"] not in ("", *config["genomes"]):
            raise WorkflowError(
                f"{place}: genome {row['genome']} is not among `genomes` of the configuration "
                f"({', '.join(config['genomes']) or 'there are none'}); leave it empty for that of `references`"
            )
        if rows and rows[0]["genome"] != row["genome"]:
            raise WorkflowError(f"{path}: {key[0]}, {key[1]} has rows of two genomes; name them as two cell types")
        row.update({role: sample_file(row, role, place) for role in ("treatment", "control", "peaks") if row[role]})
        rows.append(row)
    if not table:
        raise WorkflowError(f"{path}: the table of the experiments has no row; add one per replicate")
    return table


def sample_file(row, role, place):
    """Path or URL of a file of the table; stops when it is a local file that is missing or has no index."""
    path = row[role]
    if role == "peaks":
        path = local_copy(path, f"peaks/{row['cell_type']}/{row['tf']}.bed", f"peaks/{row['tf']}.bed")
    path = local_path(path)
    if "://" in path or path.startswith("resources/simulation/") or not workflow.is_main_process:
        return path
    if not os.path.isfile(path):
        raise WorkflowError(
            f"{place}: {role} file {path} is missing; correct the path (it starts from {workflow.basedir})"
        )
    if path.endswith(".bam"):
        if not any(os.path.exists(index) for index in (f"{path}.bai", f"{path}.csi", f"{path[:-4]}.bai")):
            raise WorkflowError(f"{place}: {role} file {path} has no index; run `samtools index {path}`")
    return path


def check_space():
    """Stop where the search would try what the section `training` does not allow, or what would change its judge."""
    training = load_schema("config")["properties"]["training"]["properties"]
    settings = {
        **{
            name: schema
            for name, schema in training.items()
            if name not in ("network", "folds", "precision", "threads")
        },
        **{f"network.{name}": schema for name, schema in training["network"]["properties"].items()},
    }
    space = config["search"]["space"]
    check(space, {"properties": dict.fromkeys(settings, {}), "additionalProperties": False}, "search.space")
    for name, values in space.items():
        for value in values if isinstance(values, list) else [values["low"], values["high"]]:
            check({name: value}, {"properties": settings}, "search.space")


SAMPLE_SCHEMA = load_schema("samples")
NO_VALUE = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None")  # as pandas and R write it

check(config, load_schema("config"), ", ".join(map(str, workflow.configfiles)) or "configuration")
for name, settings in config.get("genomes", {}).items():
    if "jaspar" in settings or settings.get("genome", "simulated") == "simulated":
        raise WorkflowError(f"genomes.{name}: name its FASTA file under `genome`; `jaspar` stands under `references`")
validate(config, "../schemas/config.schema.yaml")
check_space()
config["samples"] = local_path(config["samples"])
EXPERIMENTS = read_samples(config["samples"])
SIMULATED = config["references"]["genome"] == "simulated"
GENOMES = {"genome": config["references"], **config["genomes"]}
if len(GENOMES) > 1 and (SIMULATED or config["peaks"]["effective_genome_bp"]):
    raise WorkflowError(
        "genomes: the simulated genome stands alone"
        if SIMULATED
        else "peaks.effective_genome_bp: one number does not fit several genomes; leave it out, it is found out for each"
    )
FASTA = {
    name: "resources/simulation/genome.fa" if SIMULATED else local_copy(settings["genome"], f"{name}.fa.gz")
    for name, settings in GENOMES.items()
}
for name, path in FASTA.items():
    if "://" in path and not GENOMES[name]["genome_checksum"]:
        place = "references" if name == "genome" else f"genomes.{name}"
        raise WorkflowError(
            f"{place}.genome_checksum: a genome that is downloaded ({path}) needs one; write md5:... as its server tells it"
        )
BLACKLIST = {
    name: local_copy(settings["blacklist"], "exclude.bed" if name == "genome" else f"{name}.exclude.bed")
    for name, settings in GENOMES.items()
    if settings["blacklist"]
}
SIGNALS = {
    name: {
        signal: f"resources/{name}/mappability.npy" if isinstance(track, int) else local_path(track)
        for signal, track in {"mappability": settings["mappability"], **settings["signals"]}.items()
        if track
    }
    for name, settings in GENOMES.items()
}
NEGATIVES = sorted({*config["negatives"]["training"], *config["negatives"]["evaluation"]})
START_MOTIFS = ["resources/jaspar/motifs.meme"] if config["training"]["start_from"] else []


wildcard_constraints:
    genome="|".join(GENOMES),
    cell_type="[A-Za-z0-9_-]+",
    tf="[A-Za-z0-9_-]+",
    name="[A-Za-z0-9_-]+",
    replicate="[^/]+",
    sources="related|all_others|family|cell_type|tf|list|file",


def for_each(pattern, keys=None):
    """The path `pattern` for every experiment."""
    return [pattern.format(cell_type=cell_type, tf=tf) for cell_type, tf in (EXPERIMENTS if keys is None else keys)]


def experiment(wildcards):
    """Rows of the table for one experiment."""
    key = (wildcards.cell_type, wildcards.tf)
    if key not in EXPERIMENTS:
        raise WorkflowError(f"{config['samples']}: no row for cell type {key[0]} and TF {key[1]}")
    return EXPERIMENTS[key]


def genome_of(key):
    """Name of the genome that an experiment is of; `genome` is that of the section `references`."""
    return EXPERIMENTS[key][0]["genome"] or "genome"


def check_genome(name, place):
    """Stop where a setting names a genome that is not there."""
    if name not in GENOMES:
        raise WorkflowError(f"{place}: genome {name} is not among `genomes` ({', '.join(GENOMES)})")


USED_GENOMES = [name for name in GENOMES if name in set(map(genome_of, EXPERIMENTS))]


def reference(file):
    """Function of wildcards that gives a file of the genome that an experiment is of."""

    def path(wildcards):
        experiment(wildcards)
        return f"resources/{genome_of((wildcards.cell_type, wildcards.tf))}/{file}"

    return path


def annotation(wildcards):
    """The annotation of the genome that an experiment is of, as a list for `input:`."""
    path = GENOMES[genome_of((wildcards.cell_type, wildcards.tf))]["annotation"]
    return [local_path(path)] if path else []


def list_sources(key, wanted):
    """The experiments that a transfer model of one experiment may start from, by the name of the sources."""
    others = [other for other in EXPERIMENTS if other != key]
    if wanted == "list":
        listed = config["transfer"]["list"]
        return [other for other in (tuple(name.split("/")) for name in listed) if other != key]
    same = {"cell_type": 0, "tf": 1}.get(wanted)
    if same is not None:
        others = [other for other in others if other[same] == key[same]]
    return [] if wanted == "file" else others


def sources(wildcards):
    """The experiments that a transfer model may start from."""
    key, wanted = (wildcards.cell_type, wildcards.tf), wildcards.sources
    found = list_sources(key, wanted)
    unknown = [f"{cell_type}/{tf}" for cell_type, tf in found if (cell_type, tf) not in EXPERIMENTS]
    if unknown:
        raise WorkflowError(f"transfer.list: {', '.join(unknown)} not among the experiments of {config['samples']}")
    if not found and wanted != "file":
        raise WorkflowError(f"transfer: {'/'.join(key)} has no source in from_{wanted}; take other sources")
    return found


def source_models(wildcards):
    """(names, weights, descriptions) of the networks that a transfer model may start from."""
    wanted, folder = wildcards.sources, f"results/transfer/{wildcards.cell_type}/{wildcards.tf}"
    if wanted == "file":
        path = local_path(config["transfer"]["file"] or "")
        description = os.path.splitext(path)[0] + ".json"
        for file in (path, description):
            if not os.path.isfile(file):
                raise WorkflowError(
                    f"transfer.file: {file or 'none'} is missing; name weights that have a .json beside them"
                )
        return [os.path.basename(path)], [path], [description]
    if wanted in ("related", "list"):
        keys, path = sources(wildcards), "results/training/{cell_type}/{tf}/model"
        files = [for_each(f"{path}.{end}", keys) for end in ("safetensors", "json")]
        return [f"{cell_type}/{tf}" for cell_type, tf in keys], *files
    pretrained = f"{folder}/from_{wanted}/pretrained"
    return [wanted], [f"{pretrained}.safetensors"], [f"{pretrained}.json"]


def transferred(key, thing):
    """A file of the transfer model of one experiment."""
    return f"results/transfer/{key[0]}/{key[1]}/from_{config['transfer']['sources']}/{thing}"


# The experiments that have a transfer model. Which experiments are of a family is known when JASPAR has been read.
TRANSFERRED = [
    key
    for key in (EXPERIMENTS if config["transfer"]["enabled"] else [])
    if config["transfer"]["sources"] == "file" or list_sources(key, config["transfer"]["sources"])
]


def models(wildcards):
    """Names of the models of an experiment, in the order of `delivered`."""
    return ["cnn", "transfer"] if (wildcards.cell_type, wildcards.tf) in TRANSFERRED else ["cnn"]


def experiment_files(wildcards):
    """Files of one experiment as they lie on disk, downloads included, in the order of `experiment_rows`.

    A control that replicates share is one file, with the name of the first of them.
    """
    files = {}
    rows = experiment_rows(wildcards)
    for row in rows:
        path = row["location"]
        if "://" in path:
            end = path.split("?")[0].rsplit("/", 1)[-1]
            path = f"resources/downloads/{wildcards.cell_type}/{wildcards.tf}/{row['replicate']}.{row['role']}.{end}"
        files.setdefault(row["location"], path)
    return [files[row["location"]] for row in rows]


def experiment_rows(wildcards):
    """One dict (role, replicate, location, checksum) per file of an experiment.

    The row number is not in it: a row more above would make every experiment below run again.
    """
    return [
        {
            "role": role,
            "replicate": row["replicate"],
            "location": row[role],
            "checksum": row[f"{role}_checksum"],
        }
        for row in experiment(wildcards)
        for role in ("treatment", "control", "peaks")
        if row[role]
    ]


def predictions():
    """The files that the section `predict` asks for."""
    for item in config["predict"]:
        check_genome(item.get("genome", "genome"), f"predict: {item['name']}")
    return [
        path
        for item in config["predict"]
        for path in for_each(
            f"results/predict/{{cell_type}}/{{tf}}/{item['name']}.tsv",
            [key for key in EXPERIMENTS if item.get("genome") in (None, genome_of(key))],
        )
    ]


def exports():
    """The networks in other formats that the section `export` asks for."""
    return for_each("results/training/{cell_type}/{tf}/model.onnx") if config["export"]["onnx"] else []


def with_variants():
    """The experiments whose networks score the variants."""
    wanted, genome = config["variants"]["models"], config["variants"]["genome"]
    if not config["variants"]["vcf"]:
        return []
    check_genome(genome, "variants.genome")
    if wanted == "all":
        return [key for key in EXPERIMENTS if genome_of(key) == genome]
    for name in wanted:
        if tuple(name.split("/")) not in EXPERIMENTS:
            raise WorkflowError(f"variants.models: {name} is no experiment of {config['samples']}")
        if genome_of(tuple(name.split("/"))) != genome:
            raise WorkflowError(f"variants.models: {name} is of another genome; set variants.genome")
    return [tuple(name.split("/")) for name in wanted]


def variant_scores():
    """The files that the section `variants` asks for."""
    return for_each("results/variants/{cell_type}/{tf}/variants.tsv", with_variants())


def variants_file(wildcards):
    """The VCF file of the section `variants`."""
    path = local_path(config["variants"]["vcf"] or "")
    if not config["variants"]["vcf"] or not os.path.isfile(path):
        raise WorkflowError(
            f"variants.vcf: file {path} is missing; correct the path (it starts from {workflow.basedir})"
        )
    return path


def designs():
    """The files that the section `design` asks for."""
    return [f"results/design/{item['name']}/designs.tsv" for item in config["design"]]


def design_of(wildcards):
    """The entry of the section `design` with a name, with its defaults."""
    for item in config["design"]:
        if item["name"] == wildcards.name:
            found = {"unbound": [], "start": "background", "number": 3, "edits": 20, "beam": 1, "span": None, **item}
            if found["start"] not in ("background", "negatives"):
                found["start"] = local_path(found["start"])
                if not os.path.isfile(found["start"]):
                    raise WorkflowError(
                        f"design: {item['name']}: file {found['start']} is missing; correct `start`, or write background "
                        "or negatives"
                    )
            return found
    raise WorkflowError(
        f"design: no entry is called {wildcards.name}; known are {[item['name'] for item in config['design']]}"
    )


def design_models(wildcards):
    """The experiments whose networks a design asks, those that are to call it bound first."""
    item = design_of(wildcards)
    names = [*item["bound"], *item["unbound"]]
    for name in names:
        if tuple(name.split("/")) not in EXPERIMENTS:
            raise WorkflowError(f"design: {item['name']}: {name} is no experiment of {config['samples']}")
        if names.count(name) > 1:
            raise WorkflowError(
                f"design: {item['name']}: {name} is named more than once; name it in `bound` or in `unbound`"
            )
    return [tuple(name.split("/")) for name in names]


def with_patterns():
    """The experiments whose contributions TF-MoDISco searches."""
    if not config["motifs"]["modisco"]:
        return []
    if config["interpretation"]["method"] != "deeplift_shap":
        raise WorkflowError("motifs.modisco: it needs interpretation.method: deeplift_shap")
    return list(EXPERIMENTS)


def patterns():
    """The files of TF-MoDISco, where it is asked for."""
    return for_each("results/motifs/{cell_type}/{tf}/patterns.tsv", with_patterns())


def known_matrices(wildcards):
    """The MEME file that motifs are compared with."""
    if not config["motifs"]["known"]:
        return "resources/jaspar/motifs.meme"
    path = local_path(config["motifs"]["known"])
    if not os.path.isfile(path):
        raise WorkflowError(
            f"motifs.known: file {path} is missing; correct the path (it starts from {workflow.basedir})"
        )
    return path


def on_disk(location):
    """The file as a list for `input:`; empty for a URL, which the rule itself fetches, and for no file."""
    return [location] if location and "://" not in location else []


def simulated_reads():
    """The BAM files that the simulation writes."""
    design = config["simulation"]
    names = [f"{tf['tf']}_{r}" for tf in design["tfs"] for r in range(1, tf.get("replicates", 1) + 1)] + ["input"]
    return expand("resources/simulation/reads/{cell_type}_{name}.bam", cell_type=design["cell_types"], name=names)


def with_reads():
    """The experiments whose peaks are called from reads."""
    return [key for key, rows in EXPERIMENTS.items() if rows[0]["treatment"]]


def compared():
    """The experiments of which each replicate is called alone, too."""
    wanted = config["peaks"]["compare_replicates"] or config["peaks"]["consensus"] != "pooled"
    return [key for key in with_reads() if wanted and len(EXPERIMENTS[key]) > 1]


def supported():
    """The experiments with peaks of several replicates, called or ready."""
    ready = [key for key, rows in EXPERIMENTS.items() if rows[0]["peaks"] and len(rows) > 1]
    return compared() + ready


def replicates(wildcards):
    """Names of the replicates of an experiment."""
    return [row["replicate"] for row in experiment(wildcards)]


def cell_type_file(setting, path, wildcards):
    """The file of a setting for the cell type of an experiment: `{cell_type}` in its path is filled in."""
    path = local_path(path.replace("{cell_type}", wildcards.cell_type))
    if not path.startswith("resources/simulation/") and not os.path.isfile(path):
        raise WorkflowError(
            f"{setting}: file {path} for {wildcards.cell_type} is missing; correct the path (it starts from "
            f"{workflow.basedir}) or leave it out"
        )
    return path


def channel_files(wildcards):
    """Files of `sequences.channels` for the cell type of an experiment, in their order."""
    channels = config["sequences"]["channels"].items()
    return [cell_type_file(f"sequences.channels: {name}", path, wildcards) for name, path in channels]


def accessible_regions(wildcards):
    """The BED file of open regions in the cell type of an experiment, where negatives are drawn from it."""
    if "accessible" not in NEGATIVES:
        return []
    if not config["negatives"]["accessible"]:
        raise WorkflowError(
            "negatives.accessible: give a BED file of open regions, or take `accessible` out of the sets"
        )
    return [cell_type_file("negatives.accessible", config["negatives"]["accessible"], wildcards)]


def other_peaks(wildcards):
    """Peaks of other TFs in the cell type of an experiment, and of its TF in other cell types, where they are a set."""
    if "other_peaks" not in NEGATIVES:
        return []
    cell_type, tf = wildcards.cell_type, wildcards.tf
    others = [key for key in EXPERIMENTS if key != (cell_type, tf) and (key[0] == cell_type or key[1] == tf)]
    others = [key for key in others if genome_of(key) == genome_of((cell_type, tf))]
    if not others:
        raise WorkflowError(
            f"negatives: {tf} in {cell_type} has no other experiment of its cell type or TF to take `other_peaks` from; "
            "take the set out of negatives.training and negatives.evaluation"
        )
    return for_each("results/peaks/{cell_type}/{tf}/peaks.bed", others)


def replicate_peaks(wildcards):
    """Peaks of each replicate of an experiment: its ready peak files, or those called from its reads alone."""
    if experiment(wildcards)[0]["peaks"]:
        return experiment_files(wildcards)
    folder = f"results/peaks/{wildcards.cell_type}/{wildcards.tf}/replicates"
    return [f"{folder}/{replicate}.narrowPeak" for replicate in replicates(wildcards)]


def called_peaks(wildcards):
    """Peaks of one experiment: its ready peak files, or what macs3 calls from its reads, and replicates agree on."""
    rows = experiment(wildcards)
    if rows[0]["peaks"]:
        return experiment_files(wildcards)
    agreed = config["peaks"]["consensus"] != "pooled" and len(rows) > 1
    name = "reproducible" if agreed else "called"
    return [f"results/peaks/{wildcards.cell_type}/{wildcards.tf}/{name}.narrowPeak"]


def delivered(wildcards, thing):
    """A file of each model of one experiment: the network trained from scratch, then the transferred one."""
    key = (wildcards.cell_type, wildcards.tf)
    more = [transferred(key, thing)] if key in TRANSFERRED else []
    return [f"results/training/{key[0]}/{key[1]}/{thing}", *more]


def to_predict(wildcards):
    """The entry of the section `predict` with a name, for an experiment that it is for."""
    items = {item["name"]: item for item in config["predict"]}
    if wildcards.name not in items:
        raise WorkflowError(f"predict: no entry is called {wildcards.name}; known are {list(items)}")
    item, genome = items[wildcards.name], genome_of((wildcards.cell_type, wildcards.tf))
    if item.get("genome") not in (None, genome):
        raise WorkflowError(f"predict: {wildcards.name} is of {item['genome']}, {wildcards.cell_type} of {genome}")
    return item


def sequences_to_score(wildcards):
    """The file that an entry of the section `predict` names."""
    path = local_path(to_predict(wildcards)["file"])
    if not os.path.isfile(path):
        raise WorkflowError(f"predict: {wildcards.name}: file {path} is missing; correct the path")
    return path

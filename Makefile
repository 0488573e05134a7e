# make demo, make test: both set everything up first. Nothing outside this folder is changed but a cache of wheels
# ($XDG_CACHE_HOME or ~/.cache) and, for root on Debian or Ubuntu, the system packages that are missing.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || echo 2)
RUN ?= runs/demo
BIN := .venv/bin
WHEELS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cisgrammar/wheels
MACS3 := $(shell grep -o 'macs3==[0-9.]*' requirements.txt)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup system demo test test-slurm test-envs test-yeast lint docs clean

setup: system .venv/ready

system:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@missing=; command -v bedtools >/dev/null || missing="$$missing bedtools"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev zlib1g-dev"; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	test -e "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
	  || missing="$$missing python3-dev"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing with apt-get:$$missing"; \
	    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else \
	    echo "Please install$$missing (Debian, Ubuntu: sudo apt-get install$$missing; bedtools also with" \
	      "brew install bedtools or conda install -c bioconda bedtools), then run make again" >&2; exit 1; \
	  fi; \
	fi

# macs3 has no wheels: it is compiled once, its extensions side by side, and kept for later checkouts.
.venv/ready: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	@set -e; python=$$($(BIN)/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])'); \
	if ! ls $(WHEELS)/$(subst ==,-,$(MACS3))-$$python-*.whl >/dev/null 2>&1; then \
	  echo "Compiling $(MACS3): about 2 minutes on 2 cores, once on this machine"; \
	  mkdir -p $(WHEELS); work=$$(mktemp -d); \
	  printf '[build_ext]\nparallel = %s\n' "$(CORES)" > $$work/build.cfg; \
	  DIST_EXTRA_CONFIG=$$work/build.cfg $(BIN)/python -m pip wheel --no-deps --no-binary macs3 --wheel-dir $$work \
	    $(MACS3) > $$work/log 2>&1 & build=$$!; began=$$(date +%s); \
	  while kill -0 $$build 2>/dev/null; do \
	    sleep 5; now=$$(($$(date +%s) - began)); [ $$((now % 30)) -lt 5 ] && echo "  compiling macs3, $$now s" || true; \
	  done; \
	  wait $$build || { tail -n 30 $$work/log >&2; exit 1; }; \
	  mv $$work/macs3-*.whl $(WHEELS)/; rm -rf $$work; \
	fi
	@echo "Installing torch, snakemake, tangermeme and the rest of requirements.txt: 1 to 3 minutes"
	@$(BIN)/python -m pip install --quiet --find-links $(WHEELS) -r requirements.txt
	@touch $@

demo: setup
	@echo "Running the demo on $(CORES) cores in $(RUN)"
	@snakemake --cores $(CORES) --logger rich --rerun-incomplete --configfile config/demo.yaml --directory $(RUN)
	@echo; snakemake --cores 1 --quiet --configfile config/demo.yaml --directory $(RUN) summary
	@echo; echo "Look at $(RUN)/results/report.html in a browser; the numbers are in results/summary.tsv, motifs in"
	@echo "results/motifs, and what was planted in resources/simulation/truth.tsv, all below $(RUN)."

test: setup
	@$(BIN)/python -m pytest

# A real Slurm, installed with apt-get where it is missing (root on Debian or Ubuntu), stopped at the end.
test-slurm: setup
	@$(BIN)/python -m pytest tests/slurm/test_slurm.py -rs

# Every rule in the environment that its file in envs/ describes, built with pip: some minutes, 4 GB on disk while it runs.
test-envs: setup
	@$(BIN)/python -m pytest tests/slurm/test_envs_alone.py

# The README's yeast example in full: half an hour on 2 cores.
test-yeast: setup
	@$(BIN)/python -m pytest tests/yeast -rs

lint: setup
	@ruff check .
	@ruff format --check .
	@snakefmt --check Snakefile workflow/rules
	@snakemake --lint

docs: setup
	@$(BIN)/python workflow/schemas/document.py
	@$(BIN)/python workflow/report/draw_rules.py

clean:
	rm -rf .venv runs/demo

# `make demo` runs the main job end to end; `make test` runs every check that CI runs.
# Both set up what they need first. To use an environment of your own: make demo PYTHON=python3

PYTHON ?= .venv/bin/python
# Without a GPU, a fixed torch for which mmcv is known to build; with a GPU, your own is kept.
TORCH ?= torch==2.13.0

.PHONY: help setup minkowski demo page test test-openmmlab lint

help:
	@echo 'make demo    pre-train, detect and segment on real images (about 15 minutes on two cores)'
	@echo 'make page    a page to try the demo'"'"'s models, after make demo (SHOW=labels, trees, fcmae)'
	@echo 'make test    all tests, the linter and the type checker'
	@echo 'make test-openmmlab   fast tests and a run of each task with the original mmengine and mmdet'
	@echo 'make lint    the linter and the type checker alone'
	@echo 'make setup   only the environment, .venv (both of the above do it first)'
	@echo 'make minkowski   build MinkowskiEngine, for FCMAE with encoder=minkowski (6 minutes)'
	@echo 'PYTHON=...   use an environment that already works, for any of them'

setup:
	@bash tools/setup/setup_env.sh "$(PYTHON)" "$(TORCH)"

minkowski: setup
	@bash tools/setup/setup_minkowski.sh "$(PYTHON)"

demo: setup
	$(PYTHON) tools/demo.py

# The demo's models: nuclei, labels, trees or fcmae; tools/deployment/web_page.py shows any other.
SHOW ?= nuclei
RUNS := outputs/demo/runs
PAGE_nuclei := configs/detection/mask-rcnn_convnextv2-atto_fpn_demo-nuclei.py \
	$(RUNS)/mask-rcnn_convnextv2-atto_fpn_demo-nuclei_fcmae/iter_150.pth
PAGE_labels := configs/segmentation/upernet_convnextv2-atto_demo-nuclei.py \
	$(RUNS)/upernet_convnextv2-atto_demo-nuclei_fcmae/iter_150.pth
PAGE_trees := configs/detection/faster-rcnn_convnextv2-atto_fpn_demo-trees.py \
	$(RUNS)/faster-rcnn_convnextv2-atto_fpn_demo-trees_fcmae/iter_400.pth
PAGE_fcmae := configs/pretrain/fcmae_convnextv2-atto_demo-trees.py outputs/demo/fcmae/iter_400.pth
page: setup
	@test -n '$(PAGE_$(SHOW))' || (echo 'SHOW is nuclei, labels, trees or fcmae'; exit 1)
	@test -f $(lastword $(PAGE_$(SHOW))) || (echo 'make demo comes first'; exit 1)
	@$(PYTHON) -c 'import gradio' 2>/dev/null || $(PYTHON) -m pip install -q -e '.[page]'
	$(PYTHON) tools/deployment/web_page.py $(PAGE_$(SHOW)) \
		--examples $(if $(filter nuclei labels,$(SHOW)),data/demo/nuclei/val/images,data/demo/trees/val)

test: setup lint
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -m 'not slow' -n 2 --dist loadfile
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -m slow -n 2 --dist loadfile

test-openmmlab:
	@bash tools/setup/test_openmmlab.sh "$(TORCH)"

# mypy runs no import hooks, and by these an editable install finds convnextv2.backbone in backbone/.
# So it is shown a tree of links, laid out as the package is installed. The tree lies in its cache
# and has no configs: mim follows links, and takes no config that it meets twice, as in build/.
LINKS := .mypy_cache/links
FOLDERS := $(filter-out configs convnextv2 tests,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	@rm -rf $(LINKS) && mkdir -p $(LINKS)/convnextv2
	@cd $(LINKS)/convnextv2 && ln -s ../../../convnextv2/* $(FOLDERS:%=../../../%) .
	$(PYTHON) -m mypy

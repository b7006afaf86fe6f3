"""The benchmark of loaders compares a pipeline with the library's own that does the same."""

import json

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from processes import REPO, run

from convnextv2.engine.config import read_config
from convnextv2.tools.analysis_tools.benchmarks.loader_files import generate
from convnextv2.tools.analysis_tools.benchmarks.loader_references import find_reference

CONFIGS = REPO / "configs"
COCO = "detection/mask-rcnn_convnextv2-tiny_fpn_8xb4-lsj-3x-fcmae_coco.py"
MASK2FORMER = "detection/mask2former_convnextv2-tiny_8xb2-lsj-50e-fcmae_coco.py"
DINO = "detection/dino-4scale_convnextv2-tiny_8xb2-12e-fcmae_coco.py"
ADE = "segmentation/upernet_convnextv2-tiny_8xb2-160k-fcmae-ft_ade20k-512x512.py"
LOAD = ["LoadImageFromFile", "LoadAnnotations"]
FIRST = [*LOAD, "RandomResize", "RandomCrop"]
STEPS = {
    MASK2FORMER: [*LOAD, "RandomFlip", *FIRST[2:], "FilterAnnotations", "PackDetInputs"],
    COCO: [*FIRST, "FilterAnnotations", "RandomFlip", "PackDetInputs"],
    DINO: [*LOAD, "RandomFlip", "RandomChoice", "PackDetInputs"],
    ADE: [*FIRST, "RandomFlip", "PhotoMetricDistortion", "PackSegInputs"],
}


@pytest.mark.parametrize("name", STEPS)
def test_the_library_reads_the_generated_files_to_the_same(name, tmp_path):
    cfg = read_config(str(CONFIGS / name))
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(generate(cfg.train_dataloader.dataset, tmp_path, 2))
    reference = find_reference(dataset)
    steps = reference.steps
    assert [type(step).__name__ for step in steps] == STEPS[name]
    assert not any("convnextv2" in type(step).__module__ for step in steps)
    assert reference.name == f"{cfg.default_scope} alone"
    for index in range(2):
        samples = []
        for pipeline in (dataset.pipeline.transforms, steps):
            np.random.seed(index)
            results = dataset.get_data_info(index)
            for step in pipeline:
                results = step(results)
            samples.append(results)
        ours, theirs = samples
        assert ours["inputs"].shape == theirs["inputs"].shape
        assert (ours["inputs"].float() - theirs["inputs"].float()).abs().mean() < 12
        if name == ADE:
            labels = [sample["data_samples"].gt_sem_seg.data for sample in samples]
            assert (labels[0] == labels[1]).all()
        else:
            objects = [sample["data_samples"].gt_instances for sample in samples]
            assert len(objects[0]) > 2
            assert np.allclose(*(o.bboxes.tensor for o in objects), atol=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_figures_of_a_loader_with_labels(name, tmp_path):
    size = ["--generate", 3, "--images", 8, "--workers", 1, "--repeats", 1]
    command = ["loader", CONFIGS / name, *size, "--json", "figures.json"]
    status, output = run(tmp_path, "analysis_tools/benchmark.py", *command)
    assert status == 0, output
    content = json.loads((tmp_path / "figures.json").read_text())
    rates, cpu = content["images_per_s"], content["cpu_ms"]
    library = "mmseg" if name == ADE else "mmdet"
    assert list(rates)[:2] == [f"{library} alone", "decoding"]
    through = ["DataLoader, workers: 1", f"{library} alone, DataLoader, workers: 1"]
    assert list(rates)[-2:] == through
    assert min(rates.values()) > 0
    assert [name for name, value in cpu.items() if not value] == through

"""The converter against the libraries' own lists of names and shapes, see layouts/README.md."""

import csv
import math
from pathlib import Path

import pytest
import torch

from convnextv2.backbone import ARCHS, ConvNeXtV2
from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.backbone.find_weights import find_weights
from convnextv2.backbone.layouts import LAYOUTS

LISTS = Path(__file__).parent / "layouts"
FOREIGN = LAYOUTS[1:]
CASES = [
    (layout, arch)
    for layout in FOREIGN
    for arch in ARCHS
    # The authors' list of their pre-training ends with Base.
    if layout != "minkowski" or arch not in ("large", "huge")
]


def library_list(layout, arch):
    """(name, our name or "", shape) of every parameter."""
    with (LISTS / f"{layout}.csv").open() as file:
        for row in csv.DictReader(file):
            blocks, _, shape = row[arch].rpartition(" of ")
            shape = tuple(map(int, shape.split("x")))
            for j in range(int(blocks or 1)):
                yield *(row[key].replace("*", str(j)) for key in ("name", "ours")), shape


def constants(shapes):
    """Tensors that hold one number each, another in every tensor, and take no memory."""
    return {
        name: torch.full((1,), float(i)).expand(math.prod(shape)).view(shape)
        for i, (name, shape) in enumerate(shapes.items())
    }


def our_shapes(arch, classifier):
    with torch.device("meta"):
        net = ConvNeXtV2(arch, output_norm=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    width = ARCHS[arch]["channels"][-1]
    if classifier:
        shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
        shapes |= {"head.weight": (1000, width), "head.bias": (1000,)}
    return shapes


def first_number(tensor):
    return tensor[(0,) * tensor.dim()].item()


@pytest.mark.parametrize(("layout", "arch"), CASES)
def test_what_is_written_has_the_librarys_names_and_shapes(layout, arch):
    ours = constants(our_shapes(arch, classifier=layout != "minkowski"))
    tensors, unknown, _ = convert_keys(ours, "convnextv2", layout)
    assert not unknown
    expected = {name: (own, shape) for name, own, shape in library_list(layout, arch) if own}
    assert {k: tuple(v.shape) for k, v in tensors.items()} == {k: v[1] for k, v in expected.items()}
    for name, (own, _) in expected.items():
        assert first_number(tensors[name]) == first_number(ours[own]), name


@pytest.mark.parametrize(("layout", "arch"), CASES)
def test_the_librarys_files_are_read_whole(layout, arch):
    listed = list(library_list(layout, arch))
    theirs = constants({name: shape for name, _, shape in listed})
    found = find_weights(theirs)
    assert found.layout == layout
    assert not found.missing
    tensors, unknown, _ = convert_keys(found.tensors, layout, "convnextv2")
    assert not unknown
    others = [name for name, own, _ in listed if not own]
    assert found.others == len(others)
    expected = our_shapes(arch, classifier=layout != "minkowski")
    assert {k: tuple(v.shape) for k, v in tensors.items()} == expected
    for name, own, _ in listed:
        if own:
            assert first_number(tensors[own]) == first_number(theirs[name]), name


def test_lists_and_archs_agree():
    """The lists are the libraries': every size, and as many parameters as the paper's network."""
    for layout, arch in CASES:
        ours = [own for _, own, _ in library_list(layout, arch) if own]
        assert sorted(ours) == sorted(our_shapes(arch, classifier=layout != "minkowski"))

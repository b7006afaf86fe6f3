"""Accumulation and mixed precision leave the recipe what it is."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from convnextv2.pretrain import FCMAE

SMALL = {"depths": [1, 1, 2, 1], "channels": [8, 16, 24, 32]}


def make_model(**options):
    torch.manual_seed(0)
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": SMALL}
    model = FCMAE(backbone, decoder_dim=16, **options)
    for name, parameter in model.named_parameters():
        if "grn" in name or parameter.dim() > 1:  # at their initial size they hardly do anything
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_accumulated_halves_make_the_step_of_the_whole_batch():
    torch.manual_seed(1)
    images, seeds = torch.randn(4, 3, 96, 64, dtype=torch.float64), torch.arange(4)
    states = []
    for parts in (1, 2):
        model = make_model().double()
        wrapper = build_optim_wrapper(
            model,
            {
                "type": "OptimWrapper",
                "optimizer": {"type": "SGD", "lr": 1.0},
                "accumulative_counts": parts,
                "clip_grad": {"max_norm": 0.1},
            },
        )
        wrapper.initialize_count_status(model, 0, parts)
        for x, s in zip(images.chunk(parts), seeds.chunk(parts), strict=True):
            with wrapper.optim_context(model):
                loss = model(x, seed=s, mode="loss")["loss"]
            wrapper.update_params(loss)
        states.append(model.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=0, atol=1e-12, msg=name)
    assert not torch.equal(states[0]["decoder.pred.bias"], make_model().decoder.pred.bias.double())


@pytest.mark.parametrize("encoder", ["packed", "dense"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_close_to_full(encoder, dtype):
    model = make_model(encoder=encoder)
    torch.manual_seed(1)
    images, seeds = torch.randn(2, 3, 128, 96), torch.arange(2)
    model(images, seed=seeds, mode="loss")["loss"].backward()
    full = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    with torch.autocast("cpu", dtype=dtype):
        loss = model(images, seed=seeds, mode="loss")["loss"]
    assert loss.dtype == torch.float32  # the loss and GRN's norm are not rounded
    (loss * 1024).backward()  # as a scaler does for float16
    for name, parameter in model.named_parameters():
        cosine = torch.cosine_similarity(full[name].flatten(), parameter.grad.flatten(), dim=0)
        assert cosine > 0.99, name

"""The fully convolutional masked autoencoder (paper, section 3.1)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from convnextv2.backbone import ConvNeXtV2
from convnextv2.backbone.layers import Maker, resolve
from convnextv2.registry import MODELS

from .decoders import FCMAEDecoder
from .encoders.dense import encode_dense, resize_mask
from .encoders.masked_image import encode_masked_image
from .encoders.minkowski import encode_minkowski
from .encoders.packed import encode_packed
from .masks import COUNTED, patchify, random_mask, unpatchify

ENCODERS = {"packed": encode_packed, "dense": encode_dense, "minkowski": encode_minkowski}
NOT_SPARSE = {"masked_image": encode_masked_image}  # gives other values
STRIDE = 32  # of the backbone's last stage


@MODELS.register_module()
class FCMAE(BaseModel):
    """Hide most of an image, encode the rest, predict what was hidden.

    The encoder is the backbone, run by one of `ENCODERS`: the same parameters under
    ``backbone.``, which a detector's or segmenter's backbone loads as they are.

    Args:
        backbone: Config of a `ConvNeXtV2`; `output_norm` is set to False.
        encoder: ``packed`` computes visible pixels only; ``dense`` is the readable reference;
            ``minkowski`` uses the sparse tensors of MinkowskiEngine (`make minkowski`). All give
            the same values. ``masked_image`` is the paper's row without sparse convolution.
        mask_ratio: Share of hidden patches, between 0 and 1.
        patch_size: Side of a patch in pixels, a multiple of 32.
        decoder_dim: Width of the decoder.
        decoder_depth: Number of its blocks.
        norm_pix: Let the target be each patch's pixels normalised by their mean and deviation.
        decoder: Makes the decoder, see `decoders.py`: a class, or in a config
            ``dict(type='convnextv2.UNetDecoder')``.
        loss_patches: Whose errors count: those of ``hidden`` patches or of ``all``.
        data_preprocessor: Config of a `FCMAEDataPreprocessor`; by default that of ImageNet.

    Raises:
        ValueError: An option outside its range.
    """

    def __init__(
        self,
        backbone: dict,
        encoder: str = "packed",
        mask_ratio: float = 0.6,
        patch_size: int = 32,
        decoder_dim: int = 512,
        decoder_depth: int = 1,
        norm_pix: bool = True,
        decoder: Maker = FCMAEDecoder,
        loss_patches: str = "hidden",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if data_preprocessor is None:
            data_preprocessor = {"type": "convnextv2.FCMAEDataPreprocessor"}
        super().__init__(data_preprocessor, init_cfg)
        known = {**ENCODERS, **NOT_SPARSE}
        if encoder not in known:
            raise ValueError(f"unknown encoder {encoder!r}; choose one of {', '.join(known)}")
        if loss_patches not in COUNTED:
            raise ValueError(
                f"loss_patches must be one of {', '.join(COUNTED)}, got {loss_patches!r}"
            )
        if not 0 < mask_ratio < 1:
            raise ValueError(f"mask_ratio must be between 0 and 1, got {mask_ratio}")
        if patch_size < STRIDE or patch_size % STRIDE:
            raise ValueError(
                f"patch_size must be a multiple of {STRIDE}, the backbone's stride, so that no "
                f"feature mixes visible and hidden pixels; got {patch_size}"
            )
        if decoder_dim < 1 or decoder_depth < 1:
            raise ValueError(
                f"decoder_dim and decoder_depth must be at least 1, got {decoder_dim} and "
                f"{decoder_depth}"
            )
        self.backbone: ConvNeXtV2 = MODELS.build({**backbone, "output_norm": False})
        self.encode = known[encoder]
        self.mask_ratio = mask_ratio
        self.patch_size = patch_size
        self.norm_pix = norm_pix
        self.loss_patches = loss_patches
        self.decoder: Any = resolve(decoder)(
            self.backbone.channels,
            decoder_dim,
            decoder_depth,
            STRIDE * STRIDE * self.backbone.in_channels,
        )

    def forward(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        seed: Tensor | None = None,
        img_path: list[str] | None = None,
        mode: str = "tensor",
    ) -> dict[str, Tensor] | list[dict[str, Tensor]] | Tensor:
        """Run the model.

        Args:
            inputs: Normalised images (B, C, H, W); H and W multiples of `patch_size`.
            mask: bool (B, h, w), True = visible; drawn if not given.
            seed: Integers (B,), one for each image, that the mask is drawn from; from torch's
                global generator if not given.
            img_path: The images' files, to name them in errors.
            mode: ``loss``: ``dict(loss=...)``. ``predict``: see `predict`. ``tensor``: predicted
                patches (B, h*w, p*p*C), of normalised pixels if `norm_pix`.

        Raises:
            ValueError: Images whose size or channels do not fit, or an unknown mode.
            FloatingPointError: In mode ``loss``, the loss is not finite.
        """
        self._check(inputs)
        if mask is None:
            mask = self.draw_mask(inputs, seed)
        pred = self.forward_decoder(self.forward_encoder(inputs, mask), mask, inputs.shape[2:])
        if mode == "loss":
            loss = self.forward_loss(inputs, pred, mask)
            _check_finite(loss, img_path)
            # As many patches count in every image, so this is the mean over patches too.
            return {"loss": loss.mean()}
        if mode == "predict":
            return self.predict(inputs, pred, mask)
        if mode == "tensor":
            return pred
        raise ValueError(f"mode must be loss, predict or tensor, got {mode!r}")

    def forward_encoder(self, images: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Features of the visible patches, 0 where hidden, of each stage that the decoder takes.

        The last stage's, which every decoder takes, are (B, C, H/32, W/32).
        """
        stages = self.decoder.in_stages
        return self.encode(self.backbone, images, mask, stages)

    def forward_decoder(
        self, features: Sequence[Tensor], mask: Tensor, size: Sequence[int]
    ) -> Tensor:
        """Features to predicted patches (B, h*w, p*p*C) of images of `size`."""
        cells = [s // STRIDE for s in size]
        visible = resize_mask(mask.to(features[0].device), cells)
        pred = self.decoder(features, visible)
        return patchify(unpatchify(pred, STRIDE, *size), self.patch_size)

    def forward_loss(self, images: Tensor, pred: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error of each image's `loss_patches` (paper, section 3.1), shape (B,)."""
        target = patchify(images, self.patch_size)
        if self.norm_pix:
            target = _normalize_patches(target)
        error = F.mse_loss(pred.to(target.dtype), target, reduction="none").mean(dim=-1)  # (B, h*w)
        counted = COUNTED[self.loss_patches](mask).flatten(1).to(error.device)
        return (error * counted).sum(1) / counted.sum(1)

    def predict(self, images: Tensor, pred: Tensor, mask: Tensor) -> list[dict[str, Tensor]]:
        """Reconstructions in the units of the images before the data preprocessor.

        Returns:
            For each image its ``mask`` (h, w), its ``loss`` and its ``reconstruction``
            (C, H, W), the prediction of every patch, visible ones too. With `norm_pix` each
            patch gets the mean and deviation of the original, which the network is not asked
            to know.
        """
        loss = self.forward_loss(images, pred, mask)
        pred = pred.to(images.dtype)
        if self.norm_pix:
            mean, std = _patch_statistics(patchify(images, self.patch_size))
            pred = pred * std + mean
        pixels = unpatchify(pred, self.patch_size, *images.shape[2:])
        pixels = self.data_preprocessor.denormalize(pixels)
        return [
            {"reconstruction": r, "mask": m, "loss": n}
            for r, m, n in zip(pixels, mask, loss, strict=True)
        ]

    def draw_mask(self, images: Tensor, seed: Tensor | None = None) -> Tensor:
        """A random mask (B, h, w) for a batch of images, see `random_mask`."""
        if seed is None:
            seed = torch.randint(2**31, (len(images),))
        height, width = (s // self.patch_size for s in images.shape[2:])
        return random_mask(height, width, self.mask_ratio, seed)

    def _check(self, images: Tensor) -> None:
        _, channels, height, width = images.shape
        if channels != self.backbone.in_channels:
            raise ValueError(
                f"the images have {channels} channels, the backbone takes "
                f"{self.backbone.in_channels}; set `in_channels` or the loading transform's"
            )
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"images of {height}x{width} cannot be cut into patches of {self.patch_size}; "
                "choose a crop size that is a multiple"
            )
        if height * width < 2 * self.patch_size**2:
            raise ValueError(f"images of {height}x{width} have one patch; nothing can be hidden")


def _normalize_patches(patches: Tensor) -> Tensor:
    """(x - mean) / std of `_patch_statistics`, by one operation.

    A layer norm divides by the root of variance' + eps', variance' with n in the denominator; so
    eps' is 1e-6 * (n - 1) / n, and the root of that fraction is left over.
    """
    n = patches.shape[-1]
    unbias = (n - 1) / n
    weight = patches.new_full((n,), unbias**0.5)
    return F.layer_norm(patches, (n,), weight, eps=1e-6 * unbias)


def _patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, L, 1) of each patch's pixels, all channels together."""
    var, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return mean, (var + 1e-6).sqrt()


def _check_finite(loss: Tensor, img_path: list[str] | None) -> None:
    """Stop before the optimizer spoils the weights; `loss` (B,)."""
    finite = loss.isfinite()
    if finite.all():
        return
    bad = (~finite).nonzero().flatten().tolist()
    names = "".join(f"\n  {img_path[i]}" for i in bad) if img_path else ""
    reason = (
        "every image's: the learning rate may be too high, or float16 too narrow (use bfloat16)"
        if len(bad) == len(loss)
        else "look at these images' values, and at mean and std"
    )
    raise FloatingPointError(
        f"the loss of {len(bad)} of {len(loss)} images is not finite; {reason}{names}"
    )

# python tools/train.py configs/pretrain/ablations/fcmae_convnextv1-micro_flowers-600.py
# ConvNeXt V1's blocks, in encoder and decoder.
# Not in the paper; figures: docs/analysis.md.
_base_ = '../fcmae_convnextv2-micro_flowers-600.py'

block = dict(
    response_norm=dict(type='convnextv2.NoResponseNorm'),
    layer_scale=dict(type='convnextv2.LayerScale'),
)
model = dict(backbone=block, decoder=dict(type='convnextv2.FCMAEDecoder', **block))

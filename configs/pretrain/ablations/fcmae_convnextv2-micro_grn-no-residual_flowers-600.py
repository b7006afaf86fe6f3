# python tools/train.py configs/pretrain/ablations/fcmae_convnextv2-micro_grn-no-residual_flowers-600.py
# GRN without its residual connection, in encoder and decoder.
# Not in the paper; figures: docs/analysis.md.
_base_ = '../fcmae_convnextv2-micro_flowers-600.py'

response_norm = dict(type='convnextv2.GRNVariant', residual=False)
model = dict(
    backbone=dict(response_norm=response_norm),
    decoder=dict(type='convnextv2.FCMAEDecoder', response_norm=response_norm),
)

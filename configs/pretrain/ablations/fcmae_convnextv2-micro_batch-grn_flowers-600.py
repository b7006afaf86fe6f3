# python tools/train.py configs/pretrain/ablations/fcmae_convnextv2-micro_batch-grn_flowers-600.py
# GRN's norm over the whole batch of a process, in the encoder, as the released code has it.
# Not in the paper; figures: docs/analysis.md.
_base_ = '../fcmae_convnextv2-micro_flowers-600.py'

model = dict(backbone=dict(response_norm=dict(type='convnextv2.BatchGRN')))

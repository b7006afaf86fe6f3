# python tools/train.py configs/pretrain/fcmae_convnextv2-micro_flowers-600.py
# fcmae_convnextv2-micro_flowers.py in a quarter of the iterations, batch 64: what variants of the
# block are compared with, ablations/*_flowers-600.py. Not in the paper; figures: docs/analysis.md.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py',
    '../_base_/datasets/flowers_unlabelled.py',
    '../_base_/schedules/fcmae_minutes.py',
    '../_base_/runtime/pretrain_runtime.py',
]

model = dict(
    backbone=dict(arch=dict(_delete_=True, depths=(2, 2, 6, 2), channels=(32, 64, 128, 256))),
    decoder_dim=256,
)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=300),
    features=dict(interval=300),
    reconstruction=dict(interval=300),
)

# python tools/train.py configs/pretrain/fcmae_convnextv2-micro_dsb2018-300.py
# The images of DSB 2018 without their labels, batch 32, 300 iterations: what V1's blocks are
# compared with, ablations/*_dsb2018-300.py. Not in the paper; figures: docs/analysis.md.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py',
    '../_base_/datasets/dsb2018_unlabelled.py',
    '../_base_/schedules/fcmae_minutes.py',
    '../_base_/runtime/pretrain_runtime.py',
]

model = dict(
    backbone=dict(arch=dict(_delete_=True, depths=(2, 2, 6, 2), channels=(32, 64, 128, 256))),
    decoder_dim=256,
    norm_pix=False,
    data_preprocessor=dict(mean=[46.5, 43.0, 50.4], std=[71.0, 66.8, 77.5]),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=300),
]
train_cfg = dict(max_iters=300)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=300),
)

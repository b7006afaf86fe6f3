# python tools/train.py configs/pretrain/fcmae_convnextv2-micro_flowers.py
# 3,443 photographs of five kinds of flowers, 128 x 128, without their labels; a network of 2.2M
# parameters, batch 64. Not in the paper; figures: docs/benchmarks.md.
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
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=2400),
]
train_cfg = dict(max_iters=2400)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=200, max_keep_ckpts=-1),
)

# python tools/train.py configs/pretrain/fcmae_convnextv2-atto_dsb2018.py
# The 531 training images of DSB 2018 without their labels, batch 32, 2500 iterations (150 epochs):
# 36 minutes on one core. Mean and std are those of the images. Figures: docs/benchmarks.md.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py',
    '../_base_/datasets/dsb2018_unlabelled.py',
    '../_base_/runtime/pretrain_runtime.py',
]

model = dict(
    backbone=dict(arch='atto'),
    decoder_dim=256,
    norm_pix=False,
    data_preprocessor=dict(mean=[46.5, 43.0, 50.4], std=[71.0, 66.8, 77.5]),
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=8e-4, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=2500),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2500)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=500))
log_processor = dict(by_epoch=False)

# python tools/train.py configs/pretrain/fcmae_convnextv2-atto_dsb2018.py
# The 531 training images of DSB 2018 without their labels, batch 32, about 240 epochs: an hour on
# one core. Mean and std are those of the images. Figures: docs/benchmarks.md.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py',
    '../_base_/runtime/pretrain_runtime.py',
]

model = dict(
    backbone=dict(arch='atto'),
    decoder_dim=256,
    data_preprocessor=dict(mean=[46.5, 43.0, 50.4], std=[71.0, 66.8, 77.5]),
)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededInfiniteSampler', shuffle=True),
    dataset=dict(
        type='convnextv2.UnlabelledImages',
        data_root='data/dsb2018',
        ann_file='train.json',
        data_prefix=dict(img='images'),
        pipeline=[
            dict(type='convnextv2.SeedTransforms'),
            dict(type='convnextv2.LoadImage'),
            dict(type='convnextv2.RandomResizedCrop', size=192, scale=(0.2, 1.0)),
            dict(type='convnextv2.RandomFlips', horizontal=0.5, vertical=0.5),
            dict(type='convnextv2.PackFCMAEInputs'),
        ],
    ),
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=8e-4, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=4000),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=500))
log_processor = dict(by_epoch=False)

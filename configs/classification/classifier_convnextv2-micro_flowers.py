# python tools/train.py configs/classification/classifier_convnextv2-micro_flowers.py
# Five kinds of flowers, from weights of fcmae_convnextv2-micro_flowers.py; from scratch with
# model.backbone.init_cfg=None. Batch 32, 540 iterations. Not in the paper; figures:
# docs/benchmarks.md.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/flowers_labelled.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'work_dirs/fcmae_convnextv2-micro_flowers/iter_2400.pth'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depths=(2, 2, 6, 2), channels=(32, 64, 128, 256)),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    num_classes=5,
    head_init_scale=1.0,
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=540),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=540, val_interval=540)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=540))
log_processor = dict(by_epoch=False)

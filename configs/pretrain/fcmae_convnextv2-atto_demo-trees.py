# python tools/train.py configs/pretrain/fcmae_convnextv2-atto_demo-trees.py
# Part of `make demo`: a few minutes on a few aerial photographs, one process, batch 32.
_base_ = [
    '../_base_/models/fcmae_convnextv2.py',
    '../_base_/datasets/demo_trees_unlabelled.py',
    '../_base_/runtime/pretrain_runtime.py',
]

model = dict(backbone=dict(arch='atto'), decoder_dim=256)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=400),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=400)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(by_epoch=False, interval=100)
)
log_processor = dict(by_epoch=False)

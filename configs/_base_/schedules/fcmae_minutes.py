# Minutes on a core: enough to tell variants of the block apart.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=60, end=600),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600)
log_processor = dict(by_epoch=False)

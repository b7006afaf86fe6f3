# Paper, A.3: AdamW 1e-4, weight decay .05, 36 epochs of batch 32. Not stated there and taken from
# the reproduction in mmdet's projects: 1000 iterations of warm-up, steps at epochs 27 and 33.
max_epochs = 36

optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=0.95, decay_type='layer_wise'),
)
# The rate follows the batch of all processes: 1e-4 is for this one.
auto_scale_lr = dict(enable=True, base_batch_size=32)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=max_epochs, milestones=[27, 33], gamma=0.1),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Paper, A.4: AdamW, weight decay .05, 160,000 iterations of batch 16. Not stated there and taken
# from ConvNeXt V1's recipe: 1500 iterations of warm-up, linear decay to 0, steps by stage.
max_iters = 160000
warmup_iters = 1500

optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=0.9, decay_type='stage_wise'),
)
# The rate follows the batch of all processes: 1e-4 is for this one.
auto_scale_lr = dict(enable=True, base_batch_size=16)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=warmup_iters),
    dict(
        type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=warmup_iters, end=max_iters
    ),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

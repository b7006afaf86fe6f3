# Of the templates with labels. Each None follows from a template's settings: the run's length, and
# its warm-up and intervals as shares of that. The rate is that of the recipes for the usual batch of
# one GPU and follows the batch of all processes; a rate that is set is taken as it is.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=None, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=10),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
auto_scale_lr = dict(enable=None, base_batch_size=8)
param_scheduler = [
    dict(type='convnextv2.WarmUpLR', start_factor=1e-3, end=None),
    dict(type='CosineAnnealingLR', eta_min=0.0, begin=0, end=None),
]
train_cfg = dict(type=None, val_interval=None)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Of the pre-training template: as fcmae_800e, at any length. Each None follows from its settings.
# bfloat16 on a GPU, and on a CPU that computes with it; float32 elsewhere.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),  # bfloat16 has float32's range
    optimizer=dict(type='AdamW', lr=None, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
auto_scale_lr = dict(enable=None, base_batch_size=256)
param_scheduler = [
    dict(type='convnextv2.WarmUpLR', start_factor=1e-4, end=None),
    dict(type='CosineAnnealingLR', eta_min=0.0, begin=0, end=None),
]
train_cfg = dict(type=None, val_interval=None)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

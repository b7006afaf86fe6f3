# bfloat16 where it is computed, float32 elsewhere. Gradient clipping: optim_wrapper.clip_grad.max_norm=3.
# Paper, Table 8: lr = 1.5e-4 * batch / 256, 40 epochs of warm-up, cosine to 0 by iteration.
max_epochs = 800
warmup_epochs = 40

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),  # bfloat16 has float32's range
    optimizer=dict(type='AdamW', lr=1.5e-4, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
auto_scale_lr = dict(enable=True, base_batch_size=256)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs)

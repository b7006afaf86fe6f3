# What all classifiers are trained with: AdamW, in bfloat16 where it is computed (paper, Tables 9 to
# 13). The rate is for a batch of 256 and follows the batch of all processes.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),  # bfloat16 has float32's range
    optimizer=dict(type='AdamW', betas=(0.9, 0.999)),
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
)
auto_scale_lr = dict(enable=True, base_batch_size=256)
# A child fills in the ends, or takes the warm-up out.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True),
]

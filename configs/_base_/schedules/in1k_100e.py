# Base and Large from FCMAE (paper, Tables 9 to 11): 100 epochs, 20 of warm-up. The rate is the released
# code's, a tenth of what the paper prints.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=6.25e-4, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.6, decay_type='layer_wise'),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-6 / 2.5e-3,  # as the released code ends
        by_epoch=True,
        begin=20,
        end=100,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

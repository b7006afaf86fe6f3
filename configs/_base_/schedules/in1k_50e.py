# Huge from FCMAE (paper, Tables 9 to 11): 50 epochs, 10 of warm-up.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=1.25e-3, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.75, decay_type='layer_wise'),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-6 / 5e-3,  # as the released code ends
        by_epoch=True,
        begin=10,
        end=50,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

# Atto to Nano from FCMAE (paper, Tables 9 to 11): 600 epochs without warm-up.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=0.3),
    paramwise_cfg=dict(decay_rate=0.9, decay_type='block_wise'),
)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-6 / 8e-4,  # as the released code ends
        by_epoch=True,
        begin=0,
        end=600,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=600, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

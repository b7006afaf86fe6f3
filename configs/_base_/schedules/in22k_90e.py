# From FCMAE on ImageNet-22K (paper, Tables 12 and 13): 90 epochs, 5 of warm-up, no moving average.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.8, decay_type='layer_wise'),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-6 / 4e-3,  # as the released code ends
        by_epoch=True,
        begin=5,
        end=90,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=90)

# The demo's schedule, longer: 600 iterations, 4.5 epochs of batch 4.
_base_ = './demo_short.py'

max_iters = 600
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=max_iters // 2, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)

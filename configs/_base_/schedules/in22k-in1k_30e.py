# From ImageNet-22K, Base to Huge (paper, Tables 12 and 13): 30 epochs without warm-up.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=2.5e-5, weight_decay=1e-8),
    paramwise_cfg=dict(decay_rate=0.8, decay_type='layer_wise'),
)
param_scheduler = _base_.param_scheduler[1:]
# The rate ends at 1e-6 for its batch, as in the released code.
param_scheduler[-1].update(eta_min_ratio=1e-6 / 5e-5, begin=0, end=30)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=1)
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

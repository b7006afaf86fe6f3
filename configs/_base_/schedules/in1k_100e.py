# Base and Large from FCMAE (paper, Tables 9 to 11): 100 epochs, 20 of warm-up. The rate is the released
# code's, a tenth of what the paper prints.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=6.25e-4, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.6, decay_type='layer_wise'),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=20)
# The rate ends at 1e-6 for its batch, as in the released code.
param_scheduler[-1].update(eta_min_ratio=1e-6 / 2.5e-3, begin=20, end=100)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

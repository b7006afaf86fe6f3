# Huge from FCMAE (paper, Tables 9 to 11): 50 epochs, 10 of warm-up.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=1.25e-3, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.75, decay_type='layer_wise'),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=10)
# The rate ends at 1e-6 for its batch, as in the released code.
param_scheduler[-1].update(eta_min_ratio=1e-6 / 5e-3, begin=10, end=50)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

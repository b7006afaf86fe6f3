# Atto to Nano from FCMAE (paper, Tables 9 to 11): 600 epochs without warm-up.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=0.3),
    paramwise_cfg=dict(decay_rate=0.9, decay_type='block_wise'),
)
param_scheduler = _base_.param_scheduler[1:]
# The rate ends at 1e-6 for its batch, as in the released code.
param_scheduler[-1].update(eta_min_ratio=1e-6 / 8e-4, begin=0, end=600)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=600, val_interval=1)
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

# From FCMAE on ImageNet-22K (paper, Tables 12 and 13): 90 epochs, 5 of warm-up, no moving average.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4, weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.8, decay_type='layer_wise'),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=5)
# The rate ends at 1e-6 for its batch, as in the released code.
param_scheduler[-1].update(eta_min_ratio=1e-6 / 4e-3, begin=5, end=90)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=90)

# From scratch, Tiny to Large. The paper gives no recipe: ConvNeXt V1's (arXiv 2201.03545, Table 5),
# 4e-3 for a batch of 4096, 300 epochs, 20 of warm-up.
_base_ = './classification_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4, weight_decay=0.05),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=20)
# The rate ends at 1e-6 for its batch, as in the released code.
param_scheduler[-1].update(eta_min_ratio=1e-6 / 4e-3, begin=20, end=300)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=1)
custom_hooks = [dict(type='convnextv2.EMAHook', momentum=1e-4)]

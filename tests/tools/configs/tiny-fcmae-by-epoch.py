# ruff: noqa: C408
# The same network in epochs, as the ImageNet recipes have it: the rate follows the batch.
_base_ = "tiny-fcmae-by-iter.py"

train_dataloader = dict(
    batch_size=3,  # of 7 images: the last batch of an epoch is smaller
    sampler=dict(type="convnextv2.SeededSampler"),
)
auto_scale_lr = dict(enable=True, base_batch_size=1)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, end=1, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=1, end=4, convert_to_iter_based=True),
]
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=4)
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=1))
log_processor = dict(by_epoch=True)

# ruff: noqa: C408
# Long enough to continue the shades of an image; `test_scores.py` knows what it reaches.
_base_ = "tiny-fcmae-by-iter.py"

model = dict(backbone=dict(drop_path_rate=0.0), decoder_dim=32)
train_pipeline = [
    dict(type="convnextv2.LoadImage"),
    dict(type="convnextv2.RandomResizedCrop", size=128),
    dict(type="convnextv2.RandomFlips"),
    dict(type="convnextv2.PackFCMAEInputs"),
]
train_dataloader = dict(
    batch_size=8, dataset=dict(data_root="shades/many", pipeline=train_pipeline)
)
test_dataloader = dict(
    batch_size=8, dataset=dict(data_root="shades/unseen", pipeline=train_pipeline)
)
optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=200),
]
train_cfg = dict(max_iters=200)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200))

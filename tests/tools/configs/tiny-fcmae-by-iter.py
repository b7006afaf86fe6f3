# ruff: noqa: C408
# python tools/train.py: FCMAE of a tiny network, in a folder with the images of `shapes`.
_base_ = [
    "../../../configs/_base_/models/fcmae_convnextv2.py",
    "../../../configs/_base_/datasets/demo_trees_unlabelled.py",
    "../../../configs/_base_/runtime/pretrain_runtime.py",
]
custom_imports = dict(imports=["probe"])
custom_hooks = [dict(type="Probe")]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 2, 1], channels=[8, 16, 24, 32]), drop_path_rate=0.3
    ),
    decoder_dim=16,
)
train_pipeline = [
    dict(type="convnextv2.LoadImage"),
    dict(type="convnextv2.RandomResizedCrop", size=64),
    dict(type="convnextv2.RandomFlips"),
    dict(type="convnextv2.PackFCMAEInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root="shapes/train", pipeline=train_pipeline),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(data_root="shapes/val", pipeline=train_pipeline),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor="convnextv2.LayerDecayOptimWrapperConstructor",
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=3),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=3, end=8),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=8)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(by_epoch=False, interval=2), reconstruction=None
)
log_processor = dict(by_epoch=False)

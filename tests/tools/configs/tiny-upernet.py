# ruff: noqa: C408
# The ADE20K recipe with a tiny network on tiny images.
_base_ = [
    "../../../configs/_base_/models/upernet_convnextv2.py",
    "../../../configs/_base_/datasets/ade20k_512.py",
    "../../../configs/_base_/schedules/ade20k_160k.py",
    "../../../configs/_base_/runtime/segmentation_runtime.py",
]
custom_imports = dict(imports=["probe"])
custom_hooks = [dict(type="Probe")]

size = (64, 64)
model = dict(
    data_preprocessor=dict(size=size),
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 2, 1], channels=[8, 16, 24, 32]), drop_path_rate=0.5
    ),
    decode_head=dict(in_channels=[8, 16, 24, 32], channels=16, num_classes=2),
    auxiliary_head=dict(in_channels=24, channels=16, num_classes=2),
    test_cfg=dict(mode="slide", crop_size=size, stride=(43, 43)),
)
train_pipeline = [
    dict(type="convnextv2.LoadLabelMask", reduce_zero_label=True),
    dict(
        type="convnextv2.RandomLabelledCrop",
        scale=(96, 64),
        ratio_range=(0.5, 2.0),
        crop_size=size,
        cat_max_ratio=0.75,
    ),
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="convnextv2.SegPhotoMetricDistortion"),
    dict(type="convnextv2.PackLabelMask"),
]
test_pipeline = [
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(type="Resize", scale=(96, 64), keep_ratio=True),
    dict(type="convnextv2.LoadLabelMask", reduce_zero_label=True),
    dict(type="PackSegInputs"),
]
tta_pipeline = [
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale=(64 * r, 64 * r), keep_ratio=True) for r in (1, 2)],
            [dict(type="RandomFlip", prob=p, direction="horizontal") for p in (0.0, 1.0)],
            [dict(type="convnextv2.LoadLabelMask", reduce_zero_label=True)],
            [dict(type="PackSegInputs")],
        ],
    ),
]
dataset = dict(
    type="BaseSegDataset",
    img_suffix=".png",
    reduce_zero_label=True,
    metainfo=dict(classes=("box", "disc"), palette=[[255, 0, 0], [0, 0, 255]]),
    data_root="shapes",
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path="train", seg_map_path="train_labels"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path="val", seg_map_path="val_labels"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=2),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=2, end=6),
]
train_cfg = dict(max_iters=6, val_interval=3)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=-1))

# ruff: noqa: C408
# Long enough to tell boxes, discs and what is none; `test_scores.py` knows what it reaches. At a
# third of the rate, rounding decides whether the discs are found before the end.
_base_ = "tiny-upernet.py"

classes = 3
model = dict(
    backbone=dict(drop_path_rate=0.0),
    decode_head=dict(num_classes=classes),
    auxiliary_head=dict(num_classes=classes),
)
train_pipeline = [
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(type="convnextv2.LoadLabelMask"),
    dict(type="RandomCrop", crop_size=(64, 64)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(type="convnextv2.LoadLabelMask"),
    dict(type="PackSegInputs"),
]
dataset = dict(
    reduce_zero_label=False,
    metainfo=dict(classes=("none", "box", "disc"), palette=[[0, 0, 0], [255, 0, 0], [0, 0, 255]]),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path="many", seg_map_path="many_labels"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path="unseen", seg_map_path="unseen_labels"),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(lr=1e-2))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=10),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=10, end=200),
]
train_cfg = dict(max_iters=200, val_interval=200)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200))

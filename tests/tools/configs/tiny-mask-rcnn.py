# ruff: noqa: C408
# The COCO recipe with a tiny network on tiny images.
_base_ = [
    "../../../configs/_base_/models/mask-rcnn_convnextv2_fpn.py",
    "../../../configs/_base_/datasets/coco_lsj_instance.py",
    "../../../configs/_base_/schedules/coco_3x.py",
    "../../../configs/_base_/runtime/detection_runtime.py",
]
custom_imports = dict(imports=["probe"])
custom_hooks = [dict(type="Probe")]

size = (64, 64)
head = dict(num_classes=2, in_channels=16)
model = dict(
    data_preprocessor=dict(
        batch_augments=[dict(type="BatchFixedSizePad", size=size, pad_mask=True)]
    ),
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 2, 1], channels=[8, 16, 24, 32]), drop_path_rate=0.5
    ),
    neck=dict(in_channels=[8, 16, 24, 32], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(**head, fc_out_channels=32),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(**head, num_convs=1, conv_out_channels=16),
    ),
    train_cfg=dict(rpn_proposal=dict(max_per_img=50), rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(max_per_img=100), rcnn=dict(score_thr=0.0, nms=dict(iou_threshold=0.7))),
)
train_pipeline = [
    dict(type="convnextv2.LargeScaleJitter", scale=size, ratio_range=(0.1, 2.0), crop_size=size),
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(type="convnextv2.LoadObjects", with_mask=True),
    # A coarse filter, so that some crops are given up and others drawn in their place.
    dict(type="FilterAnnotations", min_gt_bbox_wh=(6, 6)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="convnextv2.PackObjects"),
]
test_pipeline = [
    dict(type="convnextv2.LoadImage", channel_order="bgr", dtype="uint8"),
    dict(type="Resize", scale=(96, 64), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
metainfo = dict(classes=("box", "disc"))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root="shapes",
        ann_file="train.json",
        data_prefix=dict(img="train"),
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root="shapes",
        ann_file="val.json",
        data_prefix=dict(img="val"),
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="shapes/val.json")
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=5),
    dict(type="MultiStepLR", by_epoch=True, milestones=[2], gamma=0.1),
]
train_cfg = dict(max_epochs=3, val_interval=2)
default_hooks = dict(logger=dict(interval=1))

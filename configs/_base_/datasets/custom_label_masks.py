# Of the segmentation template: images and label masks. Each None follows from the template's settings.
train_pipeline = [
    # First what the crop depends on, and the crop, so that no more than it is read.
    dict(type='convnextv2.LoadLabelMask'),
    dict(
        type='convnextv2.RandomLabelledCrop',
        scale=None,
        ratio_range=None,
        crop_size=None,
        cat_max_ratio=0.75,
        ignore_index=None,
    ),
    dict(type='convnextv2.LoadImage', channel_order='bgr'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='convnextv2.SegPhotoMetricDistortion'),
    dict(type='convnextv2.PackLabelMask'),
]
test_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr'),
    dict(type='Resize', scale=None, keep_ratio=True),
    dict(type='convnextv2.LoadLabelMask'),
    dict(type='PackSegInputs'),
]
tta_pipeline = None
dataset = dict(
    type='convnextv2.ImagesAndMasks',
    data_root=None,
    data_prefix=dict(img_path=None, seg_map_path=None),
    seg_map_suffix=None,
    ignore_index=None,
)

train_dataloader = dict(
    batch_size=None,
    num_workers=2,
    persistent_workers=None,
    sampler=dict(type=None, shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(**dataset, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=None,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=None)
test_evaluator = val_evaluator

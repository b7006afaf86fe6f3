# Of the detection templates: objects in COCO's format. Each None follows from the template's settings.
train_pipeline = [
    # First, so that no more than the crop is read.
    dict(type='convnextv2.LargeScaleJitter', scale=None, ratio_range=None, crop_size=None),
    dict(type='convnextv2.LoadImage', channel_order='bgr'),
    dict(type='convnextv2.LoadObjects', with_mask=None),
    # Images and crops without an object teach what is none.
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='convnextv2.PackObjects'),
]
test_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr'),
    dict(type='Resize', scale=None, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=None),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
dataset = dict(type='CocoDataset', data_root=None, ann_file=None, data_prefix=dict(img=None))

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
val_evaluator = dict(
    type='convnextv2.CocoMetric',
    ann_file=None,
    metric=None,
    classwise=True,
    proposal_nums=(1, 10, 100),  # COCO's; mmdet would count 1000 detections of an image
)
test_evaluator = val_evaluator

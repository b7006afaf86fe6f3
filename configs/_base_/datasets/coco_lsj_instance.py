# COCO instances with large-scale jitter, 1024 x 1024, scale .1 to 2 (paper, A.3).
data_root = 'data/coco/'
image_size = (1024, 1024)

train_pipeline = [
    # First, so that no more than the crop is read.
    dict(
        type='convnextv2.LargeScaleJitter',
        scale=image_size,
        ratio_range=(0.1, 2.0),
        crop_size=image_size,
    ),
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(type='convnextv2.LoadObjects', with_mask=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='convnextv2.PackObjects'),
]
test_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
# A leaf passes this to its model's data_preprocessor: every batch has the same size.
batch_augments = [dict(type='BatchFixedSizePad', size=image_size, pad_mask=True)]

train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='convnextv2.SeededSampler', shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='convnextv2.CocoMetric',
    ann_file=data_root + 'annotations/instances_val2017.json',
    metric=['bbox', 'segm'],
    proposal_nums=(1, 10, 100),  # COCO's; mmdet would count 1000 detections of an image
)
test_evaluator = val_evaluator

# ADE20K, 512 x 512 crops; tested by `--tta` at the paper's five scales with flips (A.4).
data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)
scale = (2048, 512)

train_pipeline = [
    # First what the crop depends on, and the crop, so that no more than it is read.
    dict(type='convnextv2.LoadLabelMask'),
    dict(
        type='convnextv2.RandomLabelledCrop',
        scale=scale,
        ratio_range=(0.5, 2.0),
        crop_size=crop_size,
        cat_max_ratio=0.75,
    ),
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='convnextv2.SegPhotoMetricDistortion'),
    dict(type='convnextv2.PackLabelMask'),
]
test_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='convnextv2.LoadLabelMask'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(int(2048 * r), int(512 * r)), keep_ratio=True)
                for r in (0.75, 0.875, 1.0, 1.125, 1.25)
            ],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='convnextv2.LoadLabelMask')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
# A leaf passes this to its model: tested in windows of the size it was trained on.
slide = dict(mode='slide', crop_size=crop_size, stride=(341, 341))

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='convnextv2.SeededInfiniteSampler', shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(
        type='ADE20KDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ADE20KDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

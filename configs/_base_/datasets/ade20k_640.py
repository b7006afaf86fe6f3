# ADE20K, 640 x 640 crops of images 1.25 times as large (paper, Table 7: FLOPs at 2560 x 640).
_base_ = './ade20k_512.py'

crop_size = (640, 640)
scale = (2560, 640)

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
                dict(type='Resize', scale=(int(2560 * r), int(640 * r)), keep_ratio=True)
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
slide = dict(crop_size=crop_size, stride=(426, 426))

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# ADE20K, 640 x 640 crops of images 1.25 times as large (paper, Table 7: FLOPs at 2560 x 640).
_base_ = './ade20k_512.py'

crop_size = (640, 640)
scale = (2560, 640)

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=scale, crop_size=crop_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=scale)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(int(2560 * r), int(640 * r)), keep_ratio=True)
    for r in (0.75, 0.875, 1.0, 1.125, 1.25)
]
slide = dict(crop_size=crop_size, stride=(426, 426))

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# mmdet's DINO for COCO, read by the project's transforms: its steps and draws. Images that shrink
# at least twofold are averaged.
_base_ = 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'

load = dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8')
train_pipeline = [
    # First, so that no more than the crop is read.
    dict(
        type='convnextv2.MultiScaleCrop',
        scales=[(side, 1333) for side in range(480, 801, 32)],
        crop_scales=[(400, 4200), (500, 4200), (600, 4200)],
        crop_range=(384, 600),
        flip_prob=0.5,
    ),
    load,
    dict(type='convnextv2.LoadObjects'),
    dict(type='convnextv2.ResizeCrop'),
    dict(type='convnextv2.PackObjects'),
]
test_pipeline = [load, *_base_.test_pipeline[1:]]

train_dataloader = dict(
    sampler=dict(type='convnextv2.SeededSampler'),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.CocoMetric', proposal_nums=(1, 10, 100))
test_evaluator = val_evaluator

# mmdet's Mask2Former for COCO's instances, read by the project's transforms: its steps and draws.
# Pixels have 8 bits, mmdet's are floats; images that shrink at least twofold are averaged.
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

image_size = (1024, 1024)
load = dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8')
train_pipeline = [
    # First, so that no more than the crop is read.
    dict(
        type='convnextv2.LargeScaleJitter',
        scale=image_size,
        ratio_range=(0.1, 2.0),
        crop_size=image_size,
        flip_prob=0.5,
    ),
    load,
    dict(type='convnextv2.LoadObjects', with_mask=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True),
    dict(type='convnextv2.PackObjects'),
]
test_pipeline = [load, *_base_.test_pipeline[1:]]

# Images alone, without the panoptic maps of mmdet's base.
train_dataloader = dict(
    sampler=dict(type='convnextv2.SeededInfiniteSampler'),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(data_prefix=dict(_delete_=True, img='train2017/'), pipeline=train_pipeline),
)
val_dataloader = dict(
    dataset=dict(data_prefix=dict(_delete_=True, img='val2017/'), pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.CocoMetric', proposal_nums=(1, 10, 100))
test_evaluator = val_evaluator

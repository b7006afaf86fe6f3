# The demo's fluorescence nuclei with instance masks: 256 x 256 tiles, left half against right.
data_root = 'data/demo/nuclei/'
metainfo = dict(classes=('nucleus',), palette=[(255, 196, 0)])

train_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='convnextv2.LoadImage', channel_order='bgr', dtype='uint8'),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='convnextv2.SeededInfiniteSampler', shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(
        type='CocoDataset',
        metainfo=metainfo,
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='train/images/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        metainfo=metainfo,
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='val/images/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='convnextv2.CocoMetric', ann_file=data_root + 'val.json', metric=['bbox', 'segm']
)
test_evaluator = val_evaluator

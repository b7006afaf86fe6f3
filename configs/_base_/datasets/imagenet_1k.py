# ImageNet-1K with labels at 224 (paper, Tables 9 to 11; interpolation, erasing and the evaluation
# as in the released code). One process loads 128 images a step.
train_root = 'data/imagenet/train'
val_root = 'data/imagenet/val'

train_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=224, scale=(0.08, 1.0)),
    dict(type='convnextv2.RandomFlips', horizontal=0.5),
    dict(
        type='convnextv2.RandAugment',
        magnitude=9,
        magnitude_std=0.5,
        num_ops=2,
        interpolations=('bicubic',),
    ),
    dict(type='convnextv2.RandomErasing', prob=0.25),
    dict(type='convnextv2.PackClassInputs'),
]
val_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.ResizeShorter', size=224, crop_ratio=0.875),
    dict(type='convnextv2.CenterCrop', size=224),
    dict(type='convnextv2.PackClassInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(
        type='convnextv2.LabelledImages', data_root=train_root, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dict(
        type='convnextv2.LabelledImages',
        data_root=val_root,
        metainfo=dict(classes=train_root),  # numbered as in training
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.Accuracy')
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

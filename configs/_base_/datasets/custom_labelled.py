# Of the classification template: images in folders of their classes, or of a list. Each None follows
# from the template's settings.
train_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=None, scale=None),
    dict(type='convnextv2.RandomFlips', horizontal=0.5),
    dict(type='convnextv2.RandAugment', magnitude=9, magnitude_std=0.5, num_ops=2),
    dict(type='convnextv2.RandomErasing', prob=0.25),
    dict(type='convnextv2.PackClassInputs'),
]
test_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.ResizeShorter', size=None, crop_ratio=0.875),
    dict(type='convnextv2.CenterCrop', size=None),
    dict(type='convnextv2.PackClassInputs'),
]
dataset = dict(
    type='convnextv2.LabelledImages',
    data_root=None,
    ann_file=None,
    data_prefix=dict(img=None),
)

train_dataloader = dict(
    batch_size=None,
    num_workers=2,
    persistent_workers=None,
    pin_memory=True,
    collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type=None, shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(**dataset, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=None,
    num_workers=2,
    persistent_workers=None,
    collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.Accuracy')
test_evaluator = val_evaluator

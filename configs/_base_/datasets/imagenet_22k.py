# ImageNet-22K with labels at 224, a tar for each of the 21,841 classes (the release of fall 2011),
# as prepare_data.py imagenet22k lays them out. It has no images to validate on.
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
        type='convnextv2.LabelledShards',
        shards='data/imagenet22k/train',
        pipeline=train_pipeline,
    ),
)

# Five kinds of flowers with labels. Crops are smaller than the images that are validated on: they
# take half the time, and flowers are as large in them as in the whole images.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    drop_last=True,
    collate_fn=dict(type='pseudo_collate'),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    sampler=dict(type='convnextv2.SeededInfiniteSampler', shuffle=True),
    dataset=dict(
        type='convnextv2.LabelledImages',
        data_root='data/flowers',
        data_prefix=dict(img='train'),
        pipeline=[
            dict(type='convnextv2.LoadImage'),
            dict(type='convnextv2.RandomResizedCrop', size=96, scale=(0.2, 1.0)),
            dict(type='convnextv2.RandomFlips'),
            dict(type='convnextv2.PackClassInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=62,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dict(
        type='convnextv2.LabelledImages',
        data_root='data/flowers',
        data_prefix=dict(img='val'),
        pipeline=[
            dict(type='convnextv2.LoadImage'),
            dict(type='convnextv2.ResizeShorter', size=128, crop_ratio=1.0),
            dict(type='convnextv2.CenterCrop', size=128),
            dict(type='convnextv2.PackClassInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.Accuracy')
test_evaluator = val_evaluator

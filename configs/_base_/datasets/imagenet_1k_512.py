# As imagenet_1k at 512, where the evaluation warps the whole image to the square.
_base_ = './imagenet_1k.py'

train_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=512, scale=(0.08, 1.0)),
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
    dict(type='convnextv2.Warp', size=512),
    dict(type='convnextv2.PackClassInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

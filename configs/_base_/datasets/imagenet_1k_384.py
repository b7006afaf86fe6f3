# As imagenet_1k at 384, where the evaluation warps the whole image to the square.
_base_ = './imagenet_1k.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(size=384)
val_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.Warp', size=384),
    dict(type='convnextv2.PackClassInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

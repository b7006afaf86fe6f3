# python tools/train.py configs/classification/classifier_convnextv2-micro_flowers.py
# Five kinds of flowers, batch 32, from weights of fcmae_convnextv2-micro_flowers.py; from scratch:
# --cfg-options model.backbone.init_cfg=None. Not in the paper; figures: docs/benchmarks.md.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/flowers_labelled.py',
    '../_base_/schedules/flowers_short.py',
    '../_base_/runtime/classification_runtime.py',
]

checkpoint = 'work_dirs/fcmae_convnextv2-micro_flowers/iter_2400.pth'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depths=(2, 2, 6, 2), channels=(32, 64, 128, 256)),
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    num_classes=5,
    head_init_scale=1.0,
)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200))

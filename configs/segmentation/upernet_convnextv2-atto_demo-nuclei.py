# python tools/train.py configs/segmentation/upernet_convnextv2-atto_demo-nuclei.py
# Part of `make demo`: small heads and minutes of training. From scratch:
#   --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../_base_/models/upernet_convnextv2.py',
    '../_base_/datasets/demo_nuclei_semantic.py',
    '../_base_/schedules/demo_short.py',
    '../_base_/runtime/segmentation_runtime.py',
]

checkpoint = 'outputs/demo/fcmae/iter_400.pth'
model = dict(
    data_preprocessor=dict(mean=[33.1] * 3, std=[33.5] * 3, size=(192, 192)),
    backbone=dict(arch='atto', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=dict(
        in_channels=[40, 80, 160, 320],
        channels=64,
        num_classes=3,
        loss_decode=dict(class_weight=[1.0, 1.0, 3.0]),  # the boundary is thin
    ),
    auxiliary_head=dict(in_channels=160, channels=32, num_classes=3),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(by_epoch=False, interval=50))

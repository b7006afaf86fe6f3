# python tools/train.py configs/detection/mask-rcnn_convnextv2-atto_fpn_demo-nuclei.py
# Part of `make demo`: small heads and minutes of training. From scratch:
#   --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../_base_/models/mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/demo_nuclei_instance.py',
    '../_base_/schedules/demo_short.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'outputs/demo/fcmae/iter_400.pth'
model = dict(
    data_preprocessor=dict(mean=[33.1] * 3, std=[33.5] * 3),
    backbone=dict(arch='atto', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[40, 80, 160, 320], out_channels=128),
    rpn_head=dict(in_channels=128, feat_channels=128, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128),
        bbox_head=dict(in_channels=128, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=dict(out_channels=128),
        mask_head=dict(in_channels=128, conv_out_channels=64, num_classes=1),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(max_per_img=300), rcnn=dict(nms=dict(type='nms'))),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(by_epoch=False, interval=50))
log_processor = dict(by_epoch=False)

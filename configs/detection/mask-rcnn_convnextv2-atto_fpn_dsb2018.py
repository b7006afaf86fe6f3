# python tools/train.py configs/detection/mask-rcnn_convnextv2-atto_fpn_dsb2018.py
# Small heads, batch 4, 600 iterations (4.5 epochs). From scratch:
#   --cfg-options model.backbone.init_cfg=None    Figures: docs/benchmarks.md.
_base_ = [
    '../_base_/models/mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/dsb2018_instance.py',
    '../_base_/schedules/dsb2018_600.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'work_dirs/fcmae_convnextv2-atto_dsb2018/iter_2500.pth'
model = dict(
    data_preprocessor=dict(mean=[46.5, 43.0, 50.4], std=[71.0, 66.8, 77.5]),
    backbone=dict(arch='atto', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[40, 80, 160, 320], out_channels=128),
    rpn_head=dict(in_channels=128, feat_channels=128, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128),
        bbox_head=dict(in_channels=128, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=dict(out_channels=128),
        mask_head=dict(in_channels=128, conv_out_channels=64, num_classes=1),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=500), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(max_per_img=800), rcnn=dict(nms=dict(type='nms'), max_per_img=500)),
)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=300))
log_processor = dict(by_epoch=False)

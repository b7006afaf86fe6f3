# python tools/train.py configs/detection/faster-rcnn_convnextv2-atto_fpn_demo-trees.py
# Part of `make demo`: small heads and minutes of training. From scratch:
#   --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../_base_/models/faster-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/demo_trees.py',
    '../_base_/schedules/demo_short.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'outputs/demo/fcmae/iter_400.pth'
model = dict(
    backbone=dict(arch='atto', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[40, 80, 160, 320], out_channels=96),
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[6])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96),
        bbox_head=dict(in_channels=96, fc_out_channels=256, num_classes=1),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.4))),
)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=400),
]
train_cfg = dict(max_iters=400, val_interval=400)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(by_epoch=False, interval=50))
log_processor = dict(by_epoch=False)

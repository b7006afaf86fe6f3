# Mask R-CNN as mmdet has it, with our backbone; soft-NMS in the RCNN head (paper, A.3).
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    data_preprocessor=dict(type='convnextv2.DetDataPreprocessor'),
    backbone=dict(_delete_=True, type='convnextv2.ConvNeXtV2', arch='tiny'),
    neck=dict(in_channels=[96, 192, 384, 768]),
    test_cfg=dict(rcnn=dict(nms=dict(type='soft_nms'))),
)

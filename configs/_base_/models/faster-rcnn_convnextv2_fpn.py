# Faster R-CNN as mmdet has it, with our backbone: for data sets with boxes and no masks.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    data_preprocessor=dict(type='convnextv2.DetDataPreprocessor'),
    backbone=dict(_delete_=True, type='convnextv2.ConvNeXtV2', arch='tiny'),
    neck=dict(in_channels=[96, 192, 384, 768]),
)

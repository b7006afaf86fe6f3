# python tools/train.py configs/detection/mask-rcnn_convnextv2-tiny_fpn_custom.py
# Your own objects, boxes and masks in COCO's format: change the paths and the class names, then
# python tools/dataset_converters/check_data.py THIS_FILE. The rate follows the batch (1e-4 for 32). Not run here.
_base_ = [
    '../_base_/models/mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/coco_lsj_instance.py',
    '../_base_/schedules/coco_3x.py',
    '../_base_/runtime/detection_runtime.py',
]
data_root = 'data/my_objects/'
train = dict(ann_file='train.json', data_prefix=dict(img='train/'))
val = dict(ann_file='val.json', data_prefix=dict(img='val/'))
classes = ('cat', 'dog')  # as the categories of the json files are called

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_tiny_1k_224_fcmae.pt'
head = dict(num_classes=len(classes))
model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    backbone=dict(drop_path_rate=0.2, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    roi_head=dict(bbox_head=head, mask_head=head),
)
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(dataset=dict(**dataset, **train))
val_dataloader = dict(dataset=dict(**dataset, **val))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val['ann_file'])
test_evaluator = val_evaluator
